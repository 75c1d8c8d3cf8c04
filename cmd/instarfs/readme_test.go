package main

import (
	"os"
	"strings"
	"testing"
)

// TestReadmeIsComplete: README names every format and every command.
func TestReadmeIsComplete(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(b)
	for _, name := range formatNames() {
		if !strings.Contains(readme, "\n| "+name+" ") {
			t.Errorf("README.md has no row for format %s", name)
		}
	}
	for _, cmd := range rootCommand(&newTool().env).Commands() {
		if !strings.Contains(readme, "\n| `instarfs "+cmd.Name()) {
			t.Errorf("README.md has no row for command %s", cmd.Name())
		}
	}
}
