package window

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"certsign/internal/problem"
)

// command returns the program and arguments that show url.
func (w *Window) command(url, profile string) ([]string, error) {
	command := w.config.Command
	if command == nil {
		var err error
		if command, err = findBrowser(); err != nil {
			return nil, err
		}
	}
	fill := strings.NewReplacer("{url}", url, "{profile}", profile, "{lang}", string(w.lang))
	filled := make([]string, len(command))
	for i, arg := range command {
		filled[i] = fill.Replace(arg)
	}
	path, err := exec.LookPath(filled[0])
	if err != nil {
		return nil, problem.Wrap(problem.PromptUnavailable, err, "the window command is not there")
	}
	filled[0] = path
	return filled, nil
}

// chromium is how Chromium, Chrome and Edge show a window of their own: no address bar, no first-run pages, no questions
// about keyrings, nothing fetched, nothing offered for translation.
var chromium = []string{
	"--app={url}", "--user-data-dir={profile}", "--lang={lang}", "--window-size=780,920",
	"--no-first-run", "--no-default-browser-check", "--no-service-autorun", "--no-pings", "--disable-sync",
	"--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--disable-extensions",
	"--hide-crash-restore-bubble", "--disable-session-crashed-bubble",
	"--disable-features=Translate,OptimizationHints,MediaRouter", "--password-store=basic", "--use-mock-keychain",
}

// firefox keeps to its profile too; its preferences are in the profile (firefoxPreferences).
var firefox = []string{"--no-remote", "--profile", "{profile}", "--new-window", "{url}"}

// firefoxPreferences silence what a fresh Firefox profile shows and sends.
const firefoxPreferences = `user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.homepage_override.mstone", "ignore");
user_pref("browser.startup.page", 0);
user_pref("browser.translations.enable", false);
user_pref("browser.tabs.warnOnClose", false);
user_pref("app.normandy.enabled", false);
user_pref("app.shield.optoutstudies.enabled", false);
user_pref("app.update.auto", false);
user_pref("datareporting.healthreport.uploadEnabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("extensions.getAddons.cache.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("network.proxy.type", 0);
user_pref("toolkit.telemetry.enabled", false);
user_pref("toolkit.telemetry.reportingpolicy.firstRun", false);
user_pref("trailhead.firstrun.didSeeAboutWelcome", true);
`

// findBrowser returns the first of the browsers that this computer has.
func findBrowser() ([]string, error) {
	if headless() {
		return nil, problem.New(problem.PromptUnavailable, "there is no display to show a window on")
	}
	chromes, foxes := browsers()
	for _, c := range chromes {
		if path, err := exec.LookPath(c); err == nil {
			return append([]string{path}, chromium...), nil
		}
	}
	for _, f := range foxes {
		if path, err := exec.LookPath(f); err == nil {
			return append([]string{path}, firefox...), nil
		}
	}
	return nil, problem.New(problem.PromptUnavailable, "neither Chromium, Chrome, Edge nor Firefox is installed")
}

func headless() bool {
	switch runtime.GOOS {
	case "windows", "darwin":
		return false
	default:
		return os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == ""
	}
}

// browsers names the programs to look for, best first.
func browsers() (chromes, foxes []string) {
	switch runtime.GOOS {
	case "windows":
		for _, root := range []string{os.Getenv("ProgramFiles"), os.Getenv("ProgramFiles(x86)"), os.Getenv("LOCALAPPDATA")} {
			if root == "" {
				continue
			}
			chromes = append(chromes,
				filepath.Join(root, "Google", "Chrome", "Application", "chrome.exe"),
				filepath.Join(root, "Microsoft", "Edge", "Application", "msedge.exe"),
				filepath.Join(root, "Chromium", "Application", "chrome.exe"))
			foxes = append(foxes, filepath.Join(root, "Mozilla Firefox", "firefox.exe"))
		}
	case "darwin":
		for _, root := range []string{"/Applications", filepath.Join(os.Getenv("HOME"), "Applications")} {
			for _, name := range []string{"Google Chrome", "Chromium", "Microsoft Edge"} {
				chromes = append(chromes, filepath.Join(root, name+".app", "Contents", "MacOS", name))
			}
			foxes = append(foxes, filepath.Join(root, "Firefox.app", "Contents", "MacOS", "firefox"))
		}
	default:
		chromes = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "microsoft-edge-stable"}
		foxes = []string{"firefox", "firefox-esr"}
	}
	return chromes, foxes
}
