package boot

import "testing"

func TestARootMustBeNamed(t *testing.T) {
	if err := Root(""); err == nil {
		t.Fatal("accepted")
	}
}
