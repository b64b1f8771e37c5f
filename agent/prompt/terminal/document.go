package terminal

import (
	"strings"

	"golang.org/x/term"

	"certsign/agent"
	"certsign/agent/prompt/preview"
)

// document shows a document page by page: XML as an outline where all of it fits into one, and else its text.
func (s *screen) document(d agent.DocumentView) error {
	p := preview.Read(d.Content, d.Size, preview.Limits{})
	s.say("", s.lang.Quote(d.Name))
	if p.Note != "" {
		s.say("! " + s.lang.Text("sign.view."+string(p.Note)))
	}
	pager := &pager{s: s}
	switch {
	case p.Kind == preview.Other:
		return nil
	case p.Kind == preview.XML && whole(p):
		for _, n := range p.Nodes {
			if more, err := s.node(pager, n, 0); !more || err != nil {
				return err
			}
		}
	default:
		for from := 0; ; {
			part, next := p.Source(from, 64<<10)
			for part != "" {
				var line string
				line, part, _ = cutLine(part)
				if more, err := pager.print(line); !more || err != nil {
					return err
				}
			}
			if next == 0 {
				break
			}
			from = next
		}
	}
	s.say(s.lang.Text("sign.source.end"))
	return nil
}

// whole reports that nothing was left out of the tree.
func whole(p preview.Document) bool {
	var complete func(nodes []*preview.Node) bool
	complete = func(nodes []*preview.Node) bool {
		for _, n := range nodes {
			if n.Cut || !complete(n.Children) {
				return false
			}
			for _, a := range n.Attributes {
				if a.Cut {
					return false
				}
			}
		}
		return true
	}
	return p.Shown == p.Total && complete(p.Nodes)
}

// node prints an outline; more is false once the person has seen enough.
func (s *screen) node(p *pager, n *preview.Node, depth int) (more bool, err error) {
	indent := strings.Repeat("  ", min(depth, 20))
	switch n.Type {
	case preview.Characters:
		return p.print(indent + n.Text)
	case preview.Comment:
		return p.print(indent + "(" + s.lang.Text("sign.comment") + ") " + n.Text)
	case preview.Instruction:
		return p.print(indent + "(" + s.lang.Text("sign.instruction") + ") " + n.Name + " " + n.Text)
	}
	line := indent + n.Name
	for _, a := range n.Attributes {
		line += " " + a.Name + `="` + a.Value + `"`
	}
	if n.Leaf() {
		text := s.lang.Text("sign.empty")
		if len(n.Children) == 1 {
			text = n.Children[0].Text
		}
		return p.print(line + ": " + text)
	}
	if more, err = p.print(line); !more || err != nil {
		return more, err
	}
	for _, c := range n.Children {
		if more, err = s.node(p, c, depth+1); !more || err != nil {
			return more, err
		}
	}
	return true, nil
}

// pager prints lines and waits whenever the screen is full.
type pager struct {
	s    *screen
	rows int
}

func (p *pager) print(text string) (more bool, err error) {
	width, height, err := term.GetSize(int(p.s.t.out.Fd()))
	if err != nil || width < 20 || height < 5 {
		width, height = 80, 24
	}
	rows := strings.Count(text, "\n") + 1 + len([]rune(text))/width
	if p.rows > 0 && p.rows+rows > height-2 {
		answer, err := p.s.ask(p.s.lang.Text("terminal.more") + " ")
		if err != nil || strings.EqualFold(answer, "q") {
			return false, err
		}
		p.rows = 0
	}
	p.rows += rows
	p.s.say(text)
	return true, nil
}
