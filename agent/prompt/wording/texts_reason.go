package wording

// reasons says why a store, a place or a certificate cannot be used, by problem code, in the few words that fit beside what
// they explain. Codes that are not here have the catalogue's sentence.
var reasons = map[string]entry{
	"reason.store_unavailable":        {"brak na tym komputerze", "not present on this computer"},
	"reason.token_absent":             {"w czytniku nie ma karty ani tokena", "there is no card or token in the reader"},
	"reason.token_full":               {"na karcie lub tokenie nie ma miejsca", "there is no room left on the card or token"},
	"reason.driver_failed":            {"sterownik karty lub tokena nie działa", "the driver of the card or token does not work"},
	"reason.pin_locked":               {"PIN jest zablokowany; odblokuj go kodem PUK w programie producenta karty", "the PIN is locked; unlock it with the PUK in the card maker's program"},
	"reason.pin_not_set":              {"PIN nie został jeszcze ustawiony", "the PIN has not been set yet"},
	"reason.key_absent":               {"brak klucza prywatnego", "the private key is not there"},
	"reason.key_weak":                 {"klucz jest zbyt słaby", "the key is too weak"},
	"reason.no_certificate":           {"brak certyfikatu", "there is no certificate"},
	"reason.certificate_expired":      {"certyfikat stracił ważność", "the certificate has expired"},
	"reason.key_generation_forbidden": {"nie pozwala tworzyć nowych kluczy", "it lets no new keys be made"},
	"reason.token_unrecognized":       {"sterownik nie zna tej karty", "the driver does not know this card"},
	"reason.driver_mismatch":          {"sterownik jest 32-bitowy lub dla innego procesora", "the driver is 32-bit or for another processor"},
	"reason.unsupported":              {"ten rodzaj klucza nie jest obsługiwany", "this kind of key is not supported"},
}
