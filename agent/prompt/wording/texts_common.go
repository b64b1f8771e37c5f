package wording

var common = map[string]entry{
	"app":         {"CertSign", "CertSign"},
	"app.own":     {"To okno programu na tym komputerze, a nie strony internetowej.", "This window belongs to a program on this computer, not to a web page."},
	"size.octets": {"%s B", "%s B"},

	"asks.site":   {"Strona", "Site"},
	"asks.origin": {"Adres strony", "Site address"},

	"origin.punycode": {"Adres zawiera znaki narodowe zapisane jako „xn--”. Upewnij się, że to właściwa strona.", "The address contains national characters written as “xn--”. Make sure that this is the right site."},
	"origin.local":    {"ten komputer (wiersz poleceń)", "this computer (command line)"},

	"days.one":  {"został %d dzień", "%d day left"},
	"days.few":  {"zostały %d dni", "%d days left"},
	"days.many": {"zostało %d dni", "%d days left"},

	"documents.one":  {"%d dokument", "%d document"},
	"documents.few":  {"%d dokumenty", "%d documents"},
	"documents.many": {"%d dokumentów", "%d documents"},

	"button.refuse": {"Odmów", "Refuse"},
	"button.allow":  {"Zezwól", "Allow"},
	"button.ok":     {"OK", "OK"},
	"button.cancel": {"Anuluj", "Cancel"},
	"button.sign":   {"Podpisz", "Sign"},
	"button.close":  {"Zamknij", "Close"},
	"button.wait":   {"Przycisk włączy się po chwili od pokazania okna.", "The button becomes active a moment after the window is shown."},

	"opening":        {"Otwieranie okna…", "Opening the window…"},
	"opening.failed": {"Tego okna nie można już użyć. Zamknij je i zacznij od nowa na stronie, z której korzystasz.", "This window can no longer be used. Close it and start again on the site you are using."},
	"noscript":       {"To okno wymaga włączonego JavaScriptu.", "This window needs JavaScript to be switched on."},
	"done.title":     {"Gotowe", "Done"},
	"done":           {"Odpowiedź została przekazana. To okno można zamknąć.", "Your answer has been passed on. You can close this window."},
	"gone.title":     {"Okno wygasło", "This window has expired"},
	"gone":           {"CertSign nie czeka już na tę odpowiedź. Zamknij to okno.", "CertSign no longer waits for this answer. Close this window."},

	"list.watched":     {"Kartę lub token możesz włożyć także teraz: lista odświeży się sama.", "You can still insert a card or token: the list is updated by itself."},
	"list.changed":     {"Lista została odświeżona.", "The list has been updated."},
	"list.came":        {"Teraz dostępne: %s.", "Now available: %s."},
	"list.went":        {"Już niedostępne: %s.", "No longer available: %s."},
	"list.gone":        {"Nie ma już tego, co było wybrane – wybierz ponownie.", "What was chosen is no longer there – choose again."},
	"list.error.stale": {"Lista zmieniła się w chwili odpowiedzi. Sprawdź wybór i spróbuj ponownie.", "The list changed as you answered. Check your choice and try again."},

	"error.title": {"Popraw odpowiedź", "Correct your answer"},
}
