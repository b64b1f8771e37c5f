package portal

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/argon2"
	"golang.org/x/net/html"

	"certsign/ca"
	"certsign/ca/seal"
	"certsign/ca/sqlstore"
	"certsign/internal/ades"
	"certsign/internal/ades/format/xades"
	"certsign/internal/ades/validate"
	"certsign/internal/testpki"
	"certsign/internal/xmldsig"
)

const password = "Zielona-Herbata-44"

// world is a portal over the real desk on a SQLite file, with an issuer that signs with a CA in memory.
type world struct {
	t       *testing.T
	ledger  *ca.Ledger
	desk    *ca.CA
	store   *sqlstore.Store
	root    *testpki.Authority
	issuing *testpki.Authority
	config  Config
	server  *httptest.Server
	log     *bytes.Buffer

	mu   sync.Mutex
	time time.Time

	person, stranger, basic, clerk *ca.Account
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.time
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.time = w.time.Add(d)
}

// tokens mints tokens that are random and mean nothing: no test here spends one at a CA.
type tokens struct{}

func (tokens) Token(context.Context, ca.Grant) (string, error) { return "token-" + rand.Text(), nil }

// evidence answers for the ledger's certificates by a CRL made on the spot.
type evidence struct{ w *world }

func (e evidence) Evidence(ctx context.Context, at time.Time, serials ...string) (ades.Evidence, error) {
	crl := testpki.CRL{ThisUpdate: at, NextUpdate: at.Add(time.Hour)}
	for _, serial := range serials {
		c, err := e.w.ledger.Find(ctx, serial)
		if err == nil && (c.State == ca.Suspended || c.State == ca.Revoked) {
			crl.Revoked = append(crl.Revoked, testpki.Revocation{Serial: c.X509.SerialNumber, At: c.RevokedAt, Reason: int(c.Reason)})
		}
	}
	return ades.Evidence{
		At: at, Certificates: [][]byte{e.w.issuing.DER},
		CRLs: [][]byte{e.w.issuing.CRL(crl), e.w.root.CRL(testpki.CRL{ThisUpdate: at, NextUpdate: at.Add(time.Hour)})},
	}, nil
}

func newWorld(t *testing.T, change ...func(*Config)) *world {
	t.Helper()
	ctx := context.Background()
	w := &world{t: t, time: testpki.Clock.Add(time.Hour), log: &bytes.Buffer{}}
	w.root = testpki.Root(t, testpki.Named("TEST Główne Centrum Certyfikacji"))
	w.issuing = w.root.Intermediate(testpki.Named("TEST CCK Użytkowników Zewnętrznych"))
	sealer := w.root.Leaf(testpki.Named("TEST Pieczęć"))
	s, err := seal.New(sealer.Key, sealer.Chain(), xades.Codec{}, w.now)
	require.NoError(t, err)

	w.store, err = sqlstore.Open(ctx, "sqlite://"+filepath.Join(t.TempDir(), "ca.db"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.store.Close() })
	_, err = w.store.Migrate(ctx)
	require.NoError(t, err)
	w.ledger, err = ca.NewLedger(ca.LedgerConfig{Store: w.store, CodeKey: make([]byte, 32), Now: w.now})
	require.NoError(t, err)
	w.desk, err = ca.New(ca.Config{
		Ledger: w.ledger, Issuer: tokens{}, CAURL: "https://127.0.0.1:18443", TermsVersion: TermsVersion, MaxDocument: 1 << 20,
		Codecs: []ades.Codec{xades.Codec{}}, Validate: validate.Validate,
		Policy: validate.Portal(ades.Anchors{{Certificate: w.root.DER}}), Evidence: evidence{w}, Canonical: canonical, SignedDraft: signedDraft, Sealer: s,
	})
	require.NoError(t, err)

	w.person = w.account("grazyna@example.test", ca.Extended, ca.RoleUser, &ca.Person{
		GivenName: "Grażyna", Surname: "Żółć-Świętosławska", Country: "PL", Identity: "PNOPL-44051401359", IDSISC: "PL907050300000001",
	})
	w.stranger = w.account("jozef@example.test", ca.Extended, ca.RoleUser, &ca.Person{
		GivenName: "Józef", Surname: "Pliszka", Country: "PL", Identity: "PNOPL-02070803628", IDSISC: "PL907050300000002",
	})
	w.basic = w.account("basic@example.test", ca.Basic, ca.RoleUser, nil)
	w.clerk = w.account("clerk@example.test", ca.Basic, ca.RoleHelpDesk, nil)

	w.server = httptest.NewUnstartedServer(nil)
	t.Cleanup(w.server.Close)
	w.config = Config{
		Desk: w.desk, PublicURL: "http://" + w.server.Listener.Addr().String(), StatusURL: "http://127.0.0.1:18081", CAURL: "https://127.0.0.1:18443",
		PolicyOID: "2.25.1", Test: true, Mailbox: true, Confirmation: seal.Paper{PortalURL: "http://127.0.0.1:18080", Test: true}.Confirmation,
		MaxDocument: 1 << 20, Now: w.now, Log: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&w.config)
	}
	handler, err := New(w.config)
	require.NoError(t, err)
	w.server.Config.Handler = handler
	w.server.Start()
	return w
}

// cheapHash is password's hash with the least work that argon2 takes, so that tests log in quickly.
func cheapHash() string {
	salt := []byte("0123456789abcdef")
	tag := argon2.IDKey([]byte(password), salt, 1, 8, 1, 32)
	return fmt.Sprintf("$argon2id$v=%d$m=8,t=1,p=1$%s$%s", argon2.Version, base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(tag))
}

// canonical is what signing a document as a whole digests.
func signedDraft(draft, signed []byte) (bool, error) {
	return xades.SignedDraft(draft, signed, xmldsig.Limits{})
}

func canonical(draft []byte) ([][]byte, error) {
	doc, err := xmldsig.Read(draft, xmldsig.Limits{})
	if err != nil {
		return nil, err
	}
	form, err := xmldsig.Canonicalization{Kind: xmldsig.Inclusive10}.Bytes(xmldsig.Subtree(doc.Node()).WithoutComments())
	return [][]byte{form}, err
}

func (w *world) account(email string, kind ca.AccountKind, role ca.Role, person *ca.Person) *ca.Account {
	w.t.Helper()
	ctx := context.Background()
	a := &ca.Account{Email: email, Kind: kind, Role: role, Language: "pl", Created: w.now()}
	require.NoError(w.t, w.store.Update(ctx, func(tx ca.Tx) (err error) {
		a.ID, err = tx.InsertAccount(*a, cheapHash())
		return err
	}))
	if person != nil {
		p, err := w.ledger.AddPerson(ctx, *person)
		require.NoError(w.t, err)
		require.NoError(w.t, w.ledger.Register(ctx, email, p.ID, kind))
		a.PersonID = p.ID
	}
	return a
}

// request makes a CSR for a key of its own.
func (w *world) request(name string) ([]byte, crypto.Signer) {
	w.t.Helper()
	key := testpki.Key(name, testpki.P256)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	require.NoError(w.t, err)
	return der, key
}

// issueFor has the CA in memory sign what was granted for a CSR, and records it as an issuer does.
func (w *world) issueFor(csr []byte, key crypto.Signer) *ca.Certificate {
	w.t.Helper()
	ctx := context.Background()
	row, err := w.ledger.Granted(ctx, csr)
	require.NoError(w.t, err)
	leaf := w.issuing.Leaf(testpki.Named(row.ID), testpki.RawSubject(row.Subject), testpki.WithKey(key), testpki.Policies("2.25.1"))
	_, err = w.ledger.Intend(ctx, row.ID, leaf.Certificate, w.issuing.Certificate, 3)
	require.NoError(w.t, err)
	c, err := w.ledger.Record(ctx, leaf.DER)
	require.NoError(w.t, err)
	return c
}

// certified gives the account a certificate past the portal, and returns it with its key.
func (w *world) certified(a *ca.Account, name string) (*ca.Certificate, crypto.Signer) {
	w.t.Helper()
	ctx := context.Background()
	require.NoError(w.t, w.desk.AcceptTerms(ctx, a.ID, TermsVersion))
	csr, key := w.request(name)
	_, err := w.desk.Enroll(ctx, a.ID, csr)
	require.NoError(w.t, err)
	return w.issueFor(csr, key), key
}

func (w *world) code(a *ca.Account, c *ca.Certificate) string {
	w.t.Helper()
	code, err := w.desk.VerificationCode(context.Background(), a.ID, c.Serial)
	require.NoError(w.t, err)
	return code
}

// sign signs content as the agent does.
func (w *world) sign(content []byte, c *ca.Certificate, key crypto.Signer) []byte {
	w.t.Helper()
	var b bytes.Buffer
	err := xades.Codec{}.Sign(context.Background(), &b, ades.SignRequest{
		Document:  ades.Document{Name: "d.xml", MIME: "application/xml", Content: bytes.NewReader(content)},
		Packaging: ades.Enveloped, Level: ades.LevelBB, Key: key, Chain: append([][]byte{c.DER}, c.Chain...), Time: w.now(),
	})
	require.NoError(w.t, err)
	return b.Bytes()
}

// mailedCode reads the newest one-time code in the outbox.
func (w *world) mailedCode(a *ca.Account) string {
	w.t.Helper()
	mails, err := w.desk.Mailbox(context.Background(), a.Email)
	require.NoError(w.t, err)
	newest := ca.Mail{}
	for _, m := range mails {
		if m.ID > newest.ID && regexp.MustCompile(`\d{6}$`).MatchString(m.Subject) {
			newest = m
		}
	}
	code := regexp.MustCompile(`\d{6}`).FindString(newest.Subject)
	require.NotEmpty(w.t, code)
	return code
}

// browser is a client with cookies that sends what browsers send.
type browser struct {
	w      *world
	client *http.Client
	// origin is sent with each request that is not GET.
	origin string
	lang   string
}

// view is a response as a browser sees it.
type view struct {
	t      *testing.T
	status int
	header http.Header
	body   string
	url    *url.URL
}

func (w *world) browser() *browser {
	jar, err := cookiejar.New(nil)
	require.NoError(w.t, err)
	return &browser{w: w, client: &http.Client{Jar: jar}, origin: w.server.URL, lang: "en"}
}

func (w *world) loggedIn(a *ca.Account) *browser {
	w.t.Helper()
	b := w.browser()
	v := b.post("/login", url.Values{"email": {a.Email}, "password": {password}, "next": {"/my"}})
	require.Equal(w.t, http.StatusOK, v.status, v.text())
	require.Equal(w.t, "/my", v.url.Path)
	return b
}

func (b *browser) do(method, path, kind string, body io.Reader, edit ...func(*http.Request)) view {
	b.w.t.Helper()
	r, err := http.NewRequest(method, b.w.server.URL+path, body)
	require.NoError(b.w.t, err)
	r.Header.Set("Accept-Language", b.lang)
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	if method != http.MethodGet {
		r.Header.Set("Origin", b.origin)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		if b.origin != b.w.server.URL {
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}
	}
	for _, f := range edit {
		f(r)
	}
	resp, err := b.client.Do(r)
	require.NoError(b.w.t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(b.w.t, err)
	return view{t: b.w.t, status: resp.StatusCode, header: resp.Header, body: string(text), url: resp.Request.URL}
}

func (b *browser) get(path string) view {
	b.w.t.Helper()
	return b.do(http.MethodGet, path, "", nil)
}

func (b *browser) post(path string, form url.Values) view {
	b.w.t.Helper()
	return b.do(http.MethodPost, path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
}

func (b *browser) upload(path, field, name string, content []byte) view {
	b.w.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile(field, name)
	require.NoError(b.w.t, err)
	_, err = part.Write(content)
	require.NoError(b.w.t, err)
	require.NoError(b.w.t, form.Close())
	return b.do(http.MethodPost, path, form.FormDataContentType(), &body)
}

// passFactor does the second factor for generating.
func (b *browser) passFactor(a *ca.Account) {
	b.w.t.Helper()
	b.post(generatePath+"/send-code", nil)
	v := b.post(generatePath+"/code", url.Values{"code": {b.w.mailedCode(a)}})
	require.NotEqual(b.w.t, generatePath+"/code", v.url.Path, v.text())
}

func (b *browser) acceptTerms() {
	b.w.t.Helper()
	v := b.post(generatePath+"/terms", url.Values{"accept": {"yes"}, "version": {TermsVersion}})
	require.Equal(b.w.t, generatePath+"/agent", v.url.Path, v.text())
}

func (v view) doc() *html.Node {
	v.t.Helper()
	n, err := html.Parse(strings.NewReader(v.body))
	require.NoError(v.t, err)
	return n
}

// text is what stands on the page, without markup.
func (v view) text() string {
	var b strings.Builder
	for n := range v.doc().Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "script" && n.Parent.Data != "style" {
			b.WriteString(n.Data)
			b.WriteByte(' ')
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func attribute(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

// find returns the elements of that name.
func (v view) find(name string) []*html.Node {
	var all []*html.Node
	for n := range v.doc().Descendants() {
		if n.Type == html.ElementNode && n.Data == name {
			all = append(all, n)
		}
	}
	return all
}

// byID returns the element with that id, or nil.
func (v view) byID(id string) *html.Node {
	for n := range v.doc().Descendants() {
		if got, ok := attribute(n, "id"); ok && got == id {
			return n
		}
	}
	return nil
}

func (v view) has(t *testing.T, id string) *html.Node {
	t.Helper()
	n := v.byID(id)
	require.NotNil(t, n, "no element #%s on %s:\n%s", id, v.url, v.text())
	return n
}

// declaration is a customs declaration of the repository's test data.
func declaration(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "messages", "import-declaration.xml"))
	require.NoError(t, err)
	return b
}

func serialHex(c *x509.Certificate) string {
	return fmt.Sprint(hex.EncodeToString(c.SerialNumber.Bytes()))
}
