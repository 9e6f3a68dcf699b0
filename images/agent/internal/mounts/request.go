package mounts

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// Wanted is a `mount` request. Without a URL s3fs asks the host, with keys that are none.
type Wanted struct {
	ID        string `json:"id"`
	Path      string `json:"path"`
	Bucket    string `json:"bucket"`
	Prefix    string `json:"prefix"`
	URL       string `json:"url"`
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"`
	Region    string `json:"region"`
	PathStyle bool   `json:"path_style"`
	// Whom s3fs trusts at the URL, in PEM; empty for those of the tools disk.
	Authorities string `json:"authorities"`
}

var (
	idPattern     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	bucketPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$`)
	// What comes into an option of s3fs: a comma there would begin another one.
	urlPattern    = regexp.MustCompile(`^https?://[A-Za-z0-9._:\[\]-]{1,300}/?$`)
	regionPattern = regexp.MustCompile(`^[A-Za-z0-9-]{0,64}$`)
	// A line of the file with the keys is divided by a colon.
	accessPattern = regexp.MustCompile(`^[!-9;-~]{1,256}$`)
	secretPattern = regexp.MustCompile(`^[!-~]{1,256}$`)
)

// refused are directories that are the system's own.
var refused = []string{"/proc", "/sys", "/dev", "/run"}

const (
	longestPath   = 1024
	longestPrefix = 1024
)

// check returns what is wrong with a request, as a code of PROTOCOL.md and an error.
func (w *Wanted) check() (string, error) {
	if err := checkPath(w.Path); err != nil {
		return "bad_path", err
	}
	switch {
	case !idPattern.MatchString(w.ID):
		return "bad_request", errors.New("mount needs an id of letters, digits, - and _")
	case !bucketPattern.MatchString(w.Bucket):
		return "bad_request", errors.New("mount needs the name of a bucket")
	case !cleanPrefix(w.Prefix):
		return "bad_request", errors.New("the prefix is not a folder of the bucket")
	case !regionPattern.MatchString(w.Region):
		return "bad_request", errors.New("the region is not one")
	case w.URL == "":
		return "", nil
	case !urlPattern.MatchString(w.URL):
		return "bad_request", errors.New("the url is not that of an S3 endpoint")
	case !accessPattern.MatchString(w.AccessKey) || !secretPattern.MatchString(w.SecretKey):
		return "bad_request", errors.New("the keys have characters that s3fs cannot read")
	}
	return "", nil
}

func checkPath(target string) error {
	switch {
	case !path.IsAbs(target) || len(target) > longestPath || strings.ContainsAny(target, "\x00\n"):
		return errors.New("a disk needs an absolute path")
	case path.Clean(target) == "/":
		return errors.New("a disk cannot be mounted at /")
	}
	for _, place := range refused {
		if within(path.Clean(target), place) {
			return fmt.Errorf("a disk cannot be mounted at or below %s", place)
		}
	}
	return nil
}

func cleanPrefix(prefix string) bool {
	if prefix == "" {
		return true
	}
	inside := !path.IsAbs(prefix) && path.Clean(prefix) == prefix && prefix != "." && !within(prefix, "..")
	return inside && len(prefix) <= longestPrefix && !strings.ContainsFunc(prefix, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// within tells whether a clean path is a directory or something below it.
func within(target, directory string) bool {
	return target == directory || strings.HasPrefix(target, directory+"/")
}
