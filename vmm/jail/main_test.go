package jail

import (
	"fmt"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if list := os.Getenv(asHost); list != "" {
		if err := beHost(list); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	status := m.Run()
	if built != "" {
		_ = os.RemoveAll(built)
	}
	os.Exit(status)
}
