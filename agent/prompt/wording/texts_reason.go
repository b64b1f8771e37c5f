package wording

// reasons says why a store, a place or a certificate cannot be used, or why an operation failed, by problem code, in the
// few words that fit beside what they explain.
var reasons = map[string]entry{
	"reason": {"przyczyna: %s", "reason: %s"},

	"reason.store_unavailable":   {"niedostępny na tym komputerze", "not available on this computer"},
	"reason.token_absent":        {"w czytniku nie ma karty ani tokena", "there is no card or token in the reader"},
	"reason.token_full":          {"na karcie lub tokenie nie ma miejsca", "there is no room left on the card or token"},
	"reason.driver_failed":       {"sterownik karty lub tokena nie działa", "the driver of the card or token does not work"},
	"reason.pin_locked":          {"PIN jest zablokowany; odblokuj go kodem PUK w programie producenta karty", "the PIN is locked; unlock it with the PUK in the card maker's program"},
	"reason.pin_not_set":         {"PIN nie został jeszcze ustawiony", "the PIN has not been set yet"},
	"reason.pin_incorrect":       {"nieprawidłowy PIN lub hasło", "incorrect PIN or password"},
	"reason.password_weak":       {"hasło nie spełnia wymagań", "the password does not meet the rules"},
	"reason.key_absent":          {"brak klucza prywatnego", "the private key is not there"},
	"reason.key_weak":            {"klucz jest zbyt słaby", "the key is too weak"},
	"reason.no_certificate":      {"brak certyfikatu", "there is no certificate"},
	"reason.certificate_expired": {"certyfikat stracił ważność", "the certificate has expired"},
	"reason.unsupported":         {"ten rodzaj klucza nie jest obsługiwany", "this kind of key is not supported"},
	"reason.user_cancelled":      {"anulowano", "it was cancelled"},
	"reason.ca_unreachable":      {"nie można połączyć się z centrum certyfikacji", "the certification authority cannot be reached"},
	"reason.certificate_mismatch": {"wydany certyfikat nie pasuje do klucza lub do centrum certyfikacji",
		"the certificate that was issued does not belong to the key or to the certification authority"},
	"reason.integrity_failed":    {"dokument zmienił się po drodze", "the document was changed on its way"},
	"reason.too_large":           {"dokument jest zbyt duży", "the document is too large"},
	"reason.document_unreadable": {"dokumentu nie można odczytać", "the document cannot be read"},
	"reason.xml_malformed":       {"dokument nie jest poprawnym plikiem XML", "the document is not well-formed XML"},
	"reason.xml_doctype":         {"dokument XML zawiera niedozwoloną deklarację DOCTYPE", "the XML document has a DOCTYPE declaration, which is not allowed"},
	"reason.token_expired":       {"jednorazowy token z portalu stracił ważność", "the portal's one-time token has expired"},
	"reason.token_invalid":       {"jednorazowy token z portalu jest nieprawidłowy", "the portal's one-time token is not valid"},
	"reason.token_spent":         {"jednorazowy token z portalu został już wykorzystany", "the portal's one-time token was used before"},
	"reason.token_for_other_csr": {"jednorazowy token z portalu dotyczy innego wniosku", "the portal's one-time token belongs to another request"},
	"reason.ceremony_unknown":    {"nie znaleziono rozpoczętego wniosku o certyfikat", "the certificate request that was begun cannot be found"},
	"reason.timeout":             {"upłynął czas oczekiwania", "the time ran out"},
	"reason.internal_error":      {"wewnętrzny błąd programu; szczegóły są w dzienniku", "an error inside the program; the log has the details"},
}
