package testtool

import (
	"testing"
	"time"

	"golang.org/x/sys/windows"
)

// Wine skips a test that must not run on a person's own Windows, with the reason. Under Wine it waits until no other
// process runs a test with that name, and keeps them away until the test ends.
func Wine(t testing.TB, name, reason string) {
	t.Helper()
	if !underWine() {
		t.Skip("this is no Wine: " + reason)
	}
	object, err := windows.UTF16PtrFromString(`Local\certsign-test-` + name)
	if err != nil {
		t.Fatal(err)
	}
	for range 6000 {
		// Whoever made the object has the turn; nobody owns the mutex itself, which would belong to a thread.
		handle, err := windows.CreateMutex(nil, false, object)
		if err == nil {
			t.Cleanup(func() { _ = windows.CloseHandle(handle) })
			return
		}
		_ = windows.CloseHandle(handle)
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("another process does not end its test of " + name)
}

// NotWine skips a test of what Wine lacks, with the reason.
func NotWine(t testing.TB, reason string) {
	t.Helper()
	if underWine() {
		t.Skip("Wine: " + reason)
	}
}

func underWine() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}
