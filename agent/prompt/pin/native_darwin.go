package pin

import (
	"context"
	"errors"

	"github.com/ncruces/zenity"

	"certsign/agent"
	"certsign/internal/problem"
)

// system shows questions in the system's own dialog: osascript, which is told by its input.
type system struct{}

func native(Config, bool) (dialog, error) { return system{}, nil }

// ask gets a Go string from the dialog, of which only our copy can be wiped.
func (system) ask(ctx context.Context, q question) (*agent.Secret, bool, error) {
	text := q.description() + "\n\n" + q.prompt
	if q.wrong != "" {
		text = q.wrong + "\n\n" + text
	}
	typed, err := zenity.Entry(text, zenity.Title(q.title), zenity.HideText(), zenity.OKLabel(q.ok), zenity.CancelLabel(q.cancel), zenity.Context(ctx))
	switch {
	case errors.Is(err, zenity.ErrCanceled):
		return nil, false, problem.New(problem.UserCancelled, "the PIN dialog was cancelled")
	case err != nil:
		return nil, false, problem.Wrap(problem.PromptUnavailable, err, "the PIN dialog cannot be shown")
	}
	return agent.NewSecret([]byte(typed)), false, nil
}
