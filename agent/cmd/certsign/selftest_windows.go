package main

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// systemVersion names this Windows by its numbers, and Wine by its name: what is seen there is seen there only.
func systemVersion() string {
	v := windows.RtlGetVersion()
	text := fmt.Sprintf("Windows %d.%d.%d", v.MajorVersion, v.MinorVersion, v.BuildNumber)
	if windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil {
		text += " (Wine)"
	}
	return text
}
