package failure

import (
	"testing"

	"instarfs/vmm/chaintest"
)

func TestOrderOfFiles(t *testing.T) { chaintest.FilesInOrder(t) }
