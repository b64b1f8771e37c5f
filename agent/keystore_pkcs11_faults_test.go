package agent_test

// nonsense is what the driver of testdata/shims/faults.c can say when it is asked for its tokens and what is on them.
var nonsense = []string{
	"slots without number",
	"more slots than room",
	"slots that are none",
	"a return value that is none",
	"texts without an end",
	"a token full of noise",
	"mechanisms without number",
	"objects without end",
	"objects that are none",
	"more objects than room",
	"attributes without end",
	"attributes of nothing",
	"attributes longer than they said",
	"attributes that are nowhere",
	"attributes full of noise",
}
