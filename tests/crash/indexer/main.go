// Command indexer is the trigger program of the crash tests' packages: it writes
// the names in /usr/share/base into a file of the system and one of /etc.
package main

import (
	"log"
	"os"
	"strings"
)

func main() {
	entries, err := os.ReadDir("/usr/share/base")
	if err != nil && !os.IsNotExist(err) {
		log.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	text := []byte(strings.Join(names, "\n") + "\n")
	for _, path := range []string{"/usr/share/base.index", "/etc/base.index"} {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
