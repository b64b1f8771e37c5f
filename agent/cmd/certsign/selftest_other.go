//go:build !windows

package main

import (
	"bufio"
	"os"
	"strings"
)

// systemVersion is the name that the system gives itself in os-release(5), where there is such a file.
func systemVersion() string {
	f, err := os.Open("/etc/os-release")
	if err != nil {
		return "no os-release"
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "PRETTY_NAME="); ok {
			return plain(strings.Trim(name, `"'`))
		}
	}
	return "unnamed"
}
