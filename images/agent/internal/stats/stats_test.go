package stats

import "testing"

func TestAllFiguresAreThere(t *testing.T) {
	s := Read()
	if s.UptimeS <= 0 || s.MemTotalKiB == 0 || s.MemAvailableKiB > s.MemTotalKiB || s.DiskTotalBytes == 0 || s.Processes == 0 {
		t.Fatalf("%+v", s)
	}
}
