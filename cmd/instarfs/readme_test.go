package main

import (
	"os"
	"strings"
	"testing"
)

// TestReadmeListsTheCommands: README has a row for each.
func TestReadmeListsTheCommands(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(b)
	for _, cmd := range rootCommand(&newTool().env).Commands() {
		if !strings.Contains(readme, "\n| `instarfs "+cmd.Name()) {
			t.Errorf("README.md has no row for command %s", cmd.Name())
		}
	}
}
