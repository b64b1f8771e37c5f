package ws

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"certsign/agent"
	"certsign/internal/problem"
)

// The paths.
const (
	pathHello     = "/certsign/v1/hello"
	pathSocket    = "/certsign/v1/socket"
	pathDocuments = "/certsign/v1/documents/"
)

// stall is how long a document may stand still.
const stall = 60 * time.Second

// ServeHTTP lets a request through the guards in order: host, user, origin. What is refused learns nothing but the code.
func (t *Transport) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if !t.hosts[r.Host] {
		refuse(w, problem.New(problem.HostRejected, "the request is for another host"))
		return
	}
	peerErr := t.checkPeer(r)
	origin, originErr := originOf(r)
	if r.URL.Path == pathSocket {
		t.socket(w, r, origin, errors.Join(peerErr, originErr))
		return
	}
	if originErr == nil {
		allow(h, origin)
	}
	switch {
	case peerErr != nil:
		refuse(w, peerErr)
	case originErr != nil:
		refuse(w, originErr)
	case r.Method == http.MethodOptions:
		preflight(w, r)
	case r.URL.Path == pathHello:
		hello(w, r)
	case strings.HasPrefix(r.URL.Path, pathDocuments):
		t.document(w, r, origin, strings.TrimPrefix(r.URL.Path, pathDocuments))
	default:
		refuse(w, problem.New(problem.NotFound, "there is nothing here"))
	}
}

func (t *Transport) checkPeer(r *http.Request) error {
	local, remote, err := ends(r)
	if err != nil {
		return problem.Wrap(problem.NotYours, err, "")
	}
	err = t.config.Peers.Mine(r.Context(), local, remote)
	if err != nil && problem.CodeOf(err) != problem.NotYours {
		err = problem.Wrap(problem.NotYours, err, "")
	}
	if err != nil {
		t.config.Log.Warn("another user's program was refused", "err", err)
		return problem.New(problem.NotYours, "this agent is another user's")
	}
	return nil
}

func originOf(r *http.Request) (agent.Origin, error) {
	switch all := r.Header.Values("Origin"); len(all) {
	case 0:
		return agent.ParseOrigin("")
	case 1:
		return agent.ParseOrigin(all[0])
	default:
		return agent.Origin{}, problem.New(problem.OriginRejected, "origin is given twice")
	}
}

// allow lets the page read the answer, whatever it is. No credentials: the agent has none for pages.
func allow(h http.Header, o agent.Origin) {
	h.Set("Access-Control-Allow-Origin", o.String())
	h.Add("Vary", "Origin")
}

// preflight answers a CORS preflight. The two headers for private networks were drafts that some browsers still send.
func preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", "Content-Type")
	h.Set("Access-Control-Max-Age", "600")
	for _, name := range []string{"Private-Network", "Local-Network"} {
		if r.Header.Get("Access-Control-Request-"+name) == "true" {
			h.Set("Access-Control-Allow-"+name, "true")
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

func hello(w http.ResponseWriter, r *http.Request) {
	if !only(w, r, http.MethodGet) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"agent":"certsign","protocol":`+strconv.Itoa(agent.Protocol)+`}`)
}

func only(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	for _, m := range methods {
		if r.Method == m {
			return true
		}
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	write(w, http.StatusMethodNotAllowed, problem.New(problem.BadRequest, "another method is needed"))
	return false
}

// document takes one document, or gives one result.
func (t *Transport) document(w http.ResponseWriter, r *http.Request, o agent.Origin, ticket string) {
	if !only(w, r, http.MethodGet, http.MethodPost) {
		return
	}
	control := http.NewResponseController(w)
	if r.Method == http.MethodPost {
		if err := t.agent.Upload(o, ticket, &patientReader{r.Body, control}, r.ContentLength); err != nil {
			refuse(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	result, err := t.agent.Download(o, ticket)
	if err != nil {
		refuse(w, err)
		return
	}
	defer result.Close()
	h := w.Header()
	h.Set("Content-Type", result.MIME)
	h.Set("Content-Length", strconv.FormatInt(result.Size, 10))
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": result.Name}))
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'") // should it ever be opened as a page
	if _, err := io.Copy(&patientWriter{w, control}, result.Content); err != nil {
		t.config.Log.Debug("a result was not fetched whole", "err", err)
	}
}

type patientReader struct {
	io.Reader
	control *http.ResponseController
}

func (p *patientReader) Read(b []byte) (int, error) {
	if err := p.control.SetReadDeadline(time.Now().Add(stall)); err != nil {
		return 0, err
	}
	return p.Reader.Read(b)
}

type patientWriter struct {
	io.Writer
	control *http.ResponseController
}

func (p *patientWriter) Write(b []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(stall)); err != nil {
		return 0, err
	}
	return p.Writer.Write(b)
}

var statuses = map[problem.Code]int{
	problem.HostRejected:    http.StatusMisdirectedRequest,
	problem.NotYours:        http.StatusForbidden,
	problem.OriginRejected:  http.StatusForbidden,
	problem.TicketInvalid:   http.StatusNotFound,
	problem.NotFound:        http.StatusNotFound,
	problem.TooLarge:        http.StatusRequestEntityTooLarge,
	problem.IntegrityFailed: http.StatusUnprocessableEntity,
	problem.Busy:            http.StatusServiceUnavailable,
	problem.Internal:        http.StatusInternalServerError,
}

// refuse answers with a problem.
func refuse(w http.ResponseWriter, err error) {
	status, ok := statuses[problem.CodeOf(err)]
	if !ok {
		status = http.StatusBadRequest
	}
	write(w, status, err)
}

func write(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": agent.NewWireError(problem.CodeOf(err), problem.DetailOf(err))})
}
