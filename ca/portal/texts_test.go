package portal

import (
	"encoding/json"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var verb = regexp.MustCompile(`%[sd]`)

func TestBothLanguagesHaveEachTextWithTheSameBlanks(t *testing.T) {
	texts, err := loadCatalogues()
	require.NoError(t, err)
	for _, lang := range languages[1:] {
		assert.Equal(t, slices.Sorted(maps.Keys(texts[languages[0]])), slices.Sorted(maps.Keys(texts[lang])))
	}
	for key, pl := range texts["pl"] {
		assert.NotEmpty(t, strings.TrimSpace(pl), key)
		assert.NotEmpty(t, strings.TrimSpace(texts["en"][key]), key)
		assert.Equal(t, verb.FindAllString(pl, -1), verb.FindAllString(texts["en"][key], -1), key)
	}
}

// named finds the keys that pages, scripts and Go name outright; everyPage sees those that they put together.
func named(t *testing.T) map[string]bool {
	t.Helper()
	keys := map[string]bool{}
	key := regexp.MustCompile(`(?:\bt|\bcount|\btext|flash\(ctx,|wrong\(lang,|wrong\(langOf\(ctx\),|c\.text)\s*\(?\s*"([a-z][a-zA-Z0-9_-]*(?:\.[a-zA-Z0-9_-]+)+)"`)
	for _, pattern := range []string{"html/*.html", "html/docs/*.html", "static/*.js", "*.go"} {
		names, err := fs.Glob(os.DirFS("."), pattern)
		require.NoError(t, err)
		require.NotEmpty(t, names)
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, "certsign.js") {
				continue
			}
			b, err := os.ReadFile(name)
			require.NoError(t, err)
			for _, m := range key.FindAllStringSubmatch(string(b), -1) {
				keys[m[1]] = true
			}
		}
	}
	return keys
}

func TestEachTextThatIsNamedExists(t *testing.T) {
	texts, err := loadCatalogues()
	require.NoError(t, err)
	keys := named(t)
	require.Greater(t, len(keys), 250)
	for key := range keys {
		assert.True(t, texts["pl"].has(key) || texts["pl"].has(key+".other"), "no text for %s", key)
	}
	for _, state := range []string{"idle", "searching", "awaiting-permission", "awaiting-launch", "awaiting-approval", "connected", "disconnected"} {
		assert.True(t, texts["pl"].has("agent.state."+state), state)
	}
}

func TestPolishCountsAsPolesDo(t *testing.T) {
	texts, err := loadCatalogues()
	require.NoError(t, err)
	for n, want := range map[int]string{0: "pozostało 0 dni", 1: "pozostał 1 dzień", 2: "pozostały 2 dni", 5: "pozostało 5 dni", 12: "pozostało 12 dni", 22: "pozostały 22 dni", 112: "pozostało 112 dni"} {
		assert.Equal(t, want, texts["pl"].count("pl", "days", n))
	}
	assert.Equal(t, "1 day left", texts["en"].count("en", "days", 1))
	assert.Equal(t, "0 days left", texts["en"].count("en", "days", 0))
	assert.Equal(t, "⟦none.other⟧", texts["en"].count("en", "none", 7))
}

func TestEachPluralTextHasTheFormsOfItsLanguage(t *testing.T) {
	texts, err := loadCatalogues()
	require.NoError(t, err)
	for key := range texts["pl"] {
		if base, ok := strings.CutSuffix(key, ".few"); ok {
			for _, form := range []string{".one", ".many", ".other"} {
				assert.True(t, texts["pl"].has(base+form), base+form)
			}
		}
	}
}

// TestTheOpenAPIDescriptionIsTheRoutes compares every method and path, both ways.
func TestTheOpenAPIDescriptionIsTheRoutes(t *testing.T) {
	w := newWorld(t)
	v := w.browser().get("/api/v1/openapi.json")
	require.Equal(t, http.StatusOK, v.status)
	var d struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Responses   map[string]json.RawMessage
			Parameters  []struct{ Name, In string }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(v.body), &d))
	assert.Equal(t, "3.1.0", d.OpenAPI)
	var described, routed []string
	for path, methods := range d.Paths {
		for method, op := range methods {
			described = append(described, strings.ToUpper(method)+" "+path)
			assert.NotEmpty(t, op.OperationID)
			assert.NotEmpty(t, op.Responses)
			for _, name := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1) {
				assert.True(t, slices.ContainsFunc(op.Parameters, func(p struct{ Name, In string }) bool { return p.Name == name[1] && p.In == "path" }), path)
			}
		}
	}
	p := &portal{}
	for _, r := range append(p.api(), p.bearerAPI()...) {
		routed = append(routed, r.pattern)
	}
	slices.Sort(described)
	slices.Sort(routed)
	assert.Equal(t, routed, described)
	for _, ref := range regexp.MustCompile(`"#/components/(\w+)/(\w+)"`).FindAllStringSubmatch(v.body, -1) {
		assert.Contains(t, v.body, `"`+ref[2]+`": {`, "a reference to %s that is not there", ref[0])
	}
}

func TestNamesAreShownAsTheyStandInCertificates(t *testing.T) {
	for name, want := range map[string]string{
		"CN=Grażyna Żółć,O=X":            "Grażyna Żółć",
		`O=A\, B,CN=Jan \"J\" Kos+UID=1`: `Jan "J" Kos`,
		"O=X":                            "O=X",
		"":                               "",
		`CN=x\`:                          `x\`,
	} {
		assert.Equal(t, want, commonName(name), name)
	}
	for identity, want := range map[string]string{
		"PNOPL-44051401359": "PESEL •••••••1359", "IDCDE-L01X00T47": "IDCDE-•••••0T47", "12345": "•2345", "": "",
	} {
		assert.Equal(t, want, maskedID(identity))
	}
}

func FuzzOwnPathNeverLeadsAway(f *testing.F) {
	for _, seed := range []string{"/my", "//evil.test", "/\\evil.test", "https://evil.test", "/a?b=c#d", "/%2f%2fevil", "\x00", "/\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got := ownPath(path, "/")
		if !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.HasPrefix(got, "/\\") || strings.ContainsAny(got, "\r\n\t") {
			t.Errorf("%q became %q", path, got)
		}
	})
}

func FuzzPreviewShowsOnlyWhatCanBeShown(f *testing.F) {
	f.Add([]byte("<a>ż</a>"))
	f.Add([]byte{0xff, 0xfe, 0})
	f.Add([]byte(strings.Repeat("ą", previewed)))
	f.Add([]byte("a\u202eb"))
	f.Fuzz(func(t *testing.T, content []byte) {
		s, shortened := preview(content)
		if shortened != (len(content) > previewed) {
			t.Error("shortened without saying so")
		}
		if strings.ContainsAny(s, "\x00\x1b\u202e\u200f\u2066") || len(s) > 3*previewed {
			t.Errorf("%q", s)
		}
	})
}

func FuzzCommonNameEnds(f *testing.F) {
	f.Add(`CN=a\,b,O=c`)
	f.Add(`\`)
	f.Add(",,++")
	f.Fuzz(func(_ *testing.T, name string) { commonName(name) })
}

func FuzzUploadIsBounded(f *testing.F) {
	f.Add("--x\r\nContent-Disposition: form-data; name=\"document\"; filename=\"a.xml\"\r\n\r\n<a/>\r\n--x--\r\n", "multipart/form-data; boundary=x")
	f.Add("", "text/plain")
	p := &portal{}
	f.Fuzz(func(t *testing.T, body, kind string) {
		r, err := http.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", kind)
		name, content, err := p.upload(r, "document", 16)
		if err == nil && (len(content) > 16 || len(content) == 0 || name == "" || strings.ContainsAny(name, "/\\\x00\n")) {
			t.Errorf("%q %q", name, content)
		}
	})
}
