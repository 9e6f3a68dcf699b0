// Package hostkeys gives a guest SSH host keys of its own in place of those that its memory and disk were copied with.
package hostkeys

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const rsaBits = 3072

// Key is a host key as a receipt names it.
type Key struct {
	Type        string `json:"type"`
	Fingerprint string `json:"fingerprint"`
}

// maker makes one kind of key: the private file's text and the public blob of RFC 4253.
type maker func(comment string) (private []byte, public []byte, err error)

// Renew removes all host keys in a directory and makes new ones of the kinds there were. An RSA key takes seconds under
// emulation: it is made in the background, and `done` is called after that; until then there is none.
func Renew(directory, comment string, done func()) ([]Key, error) {
	kinds, err := remove(directory)
	if err != nil || len(kinds) == 0 {
		return []Key{}, err
	}
	keys := []Key{}
	for kind, make := range map[string]maker{"ed25519": newEd25519, "ecdsa": newECDSA} {
		if !kinds[kind] {
			continue
		}
		key, err := write(directory, kind, comment, make)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind, err)
		}
		keys = append(keys, key)
	}
	done()
	if kinds["rsa"] {
		keys = append(keys, Key{Type: "ssh-rsa", Fingerprint: "being made"})
		go func() {
			if _, err := write(directory, "rsa", comment, newRSA); err == nil {
				done()
			}
		}()
	}
	return keys, nil
}

// remove deletes every host key and certificate and returns the kinds of private keys that were there.
func remove(directory string) (map[string]bool, error) {
	kinds := map[string]bool{}
	paths, err := filepath.Glob(filepath.Join(directory, "ssh_host_*"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
		if kind, ok := strings.CutSuffix(strings.TrimPrefix(filepath.Base(path), "ssh_host_"), "_key"); ok {
			kinds[kind] = true
		}
	}
	return kinds, nil
}

func write(directory, kind, comment string, make maker) (Key, error) {
	private, public, err := make(comment)
	if err != nil {
		return Key{}, err
	}
	path := filepath.Join(directory, "ssh_host_"+kind+"_key")
	name := string(public[4 : 4+binary.BigEndian.Uint32(public)])
	line := fmt.Sprintf("%s %s %s\n", name, base64.StdEncoding.EncodeToString(public), comment)
	if err := os.WriteFile(path+".pub", []byte(line), 0o644); err != nil {
		return Key{}, err
	}
	digest := sha256.Sum256(public)
	key := Key{Type: name, Fingerprint: "SHA256:" + base64.RawStdEncoding.EncodeToString(digest[:])}
	return key, os.WriteFile(path, private, 0o600)
}

func newEd25519(comment string) ([]byte, []byte, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	blob := text(text(nil, "ssh-ed25519"), string(public))
	return pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: openSSH(blob, public, private, comment)}), blob, nil
}

// openSSH is the private key format of OpenSSH's PROTOCOL.key, not encrypted.
func openSSH(blob []byte, public ed25519.PublicKey, private ed25519.PrivateKey, comment string) []byte {
	const blockBytes = 8
	check := make([]byte, 4)
	_, _ = rand.Read(check)
	secret := append(append([]byte{}, check...), check...)
	secret = text(text(text(text(secret, "ssh-ed25519"), string(public)), string(private)), comment)
	for n := byte(1); len(secret)%blockBytes != 0; n++ {
		secret = append(secret, n)
	}
	key := []byte("openssh-key-v1\x00")
	key = text(text(text(key, "none"), "none"), "")
	key = binary.BigEndian.AppendUint32(key, 1)
	return text(text(key, string(blob)), string(secret))
}

func newECDSA(string) ([]byte, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	point, err := key.PublicKey.ECDH()
	if err != nil {
		return nil, nil, err
	}
	bytes, err := x509.MarshalECPrivateKey(key)
	blob := text(text(text(nil, "ecdsa-sha2-nistp256"), "nistp256"), string(point.Bytes()))
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: bytes}), blob, err
}

func newRSA(string) ([]byte, []byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return nil, nil, err
	}
	exponent := binary.BigEndian.AppendUint32(nil, uint32(key.E))
	blob := number(number(text(nil, "ssh-rsa"), exponent), key.N.Bytes())
	private := x509.MarshalPKCS1PrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: private}), blob, nil
}

// text appends a string of RFC 4251.
func text(to []byte, value string) []byte {
	return append(binary.BigEndian.AppendUint32(to, uint32(len(value))), value...)
}

// number appends a positive mpint of RFC 4251: no leading zeros, but one before a high bit.
func number(to, value []byte) []byte {
	for len(value) > 0 && value[0] == 0 {
		value = value[1:]
	}
	if len(value) > 0 && value[0]&0x80 != 0 {
		value = append([]byte{0}, value...)
	}
	return text(to, string(value))
}
