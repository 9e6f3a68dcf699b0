// Package users looks people up in the guest's own files; a static program has no other way, and many images no files.
package users

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// User is who a program runs as.
type User struct {
	Name   string
	Home   string
	Shell  string
	UID    uint32
	GID    uint32
	Groups []uint32
}

// Find resolves name, uid, name:group or uid:gid against /etc/passwd and /etc/group below root. Empty means root.
func Find(root, spec string) (User, error) {
	who, group, hasGroup := strings.Cut(spec, ":")
	if who == "" {
		who = "root"
	}
	user, err := find(filepath.Join(root, "etc/passwd"), who)
	if err != nil {
		return User{}, err
	}
	groups := filepath.Join(root, "etc/group")
	user.Groups = memberships(groups, user.Name)
	if hasGroup {
		if user.GID, err = findGroup(groups, group); err != nil {
			return User{}, err
		}
	}
	return user, nil
}

func find(passwd, who string) (User, error) {
	for _, fields := range lines(passwd, 7) {
		uid, uidErr := number(fields[2])
		gid, gidErr := number(fields[3])
		if uidErr == nil && gidErr == nil && (fields[0] == who || fields[2] == who) {
			return User{Name: fields[0], Home: fields[5], Shell: fields[6], UID: uid, GID: gid}, nil
		}
	}
	if who == "root" || who == "0" {
		return User{Name: "root", Home: "/root"}, nil
	}
	if uid, err := number(who); err == nil {
		return User{Name: who, Home: "/", UID: uid}, nil
	}
	return User{}, fmt.Errorf("no user %q in /etc/passwd", who)
}

func findGroup(groups, name string) (uint32, error) {
	for _, fields := range lines(groups, 4) {
		if gid, err := number(fields[2]); err == nil && (fields[0] == name || fields[2] == name) {
			return gid, nil
		}
	}
	if gid, err := number(name); err == nil {
		return gid, nil
	}
	return 0, fmt.Errorf("no group %q in /etc/group", name)
}

func memberships(groups, name string) []uint32 {
	var found []uint32
	for _, fields := range lines(groups, 4) {
		for _, member := range strings.Split(fields[3], ",") {
			if gid, err := number(fields[2]); err == nil && member == name {
				found = append(found, gid)
			}
		}
	}
	return found
}

// Names returns the names of the numbers in a file like /etc/passwd or /etc/group; the first line of a number counts.
func Names(path string) map[uint32]string {
	names := map[uint32]string{}
	for _, fields := range lines(path, 3) {
		if id, err := number(fields[2]); err == nil && names[id] == "" {
			names[id] = fields[0]
		}
	}
	return names
}

// lines returns the colon-separated lines of a file that have enough fields; a missing file has none.
func lines(path string, fields int) [][]string {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	var found [][]string
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		if parts := strings.Split(scanner.Text(), ":"); len(parts) >= fields {
			found = append(found, parts)
		}
	}
	return found
}

func number(text string) (uint32, error) {
	value, err := strconv.ParseUint(text, 10, 32)
	return uint32(value), err
}
