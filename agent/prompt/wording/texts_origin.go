package wording

var origins = map[string]entry{
	"origin.title":     {"Nowa strona chce korzystać z CertSign", "A new site wants to use CertSign"},
	"origin.lead":      {"Z tą stroną CertSign jeszcze się nie łączył. Porównaj adres z adresem w przeglądarce.", "CertSign has not been connected to this site before. Compare the address with the one in your browser."},
	"origin.may":       {"Jeśli zezwolisz, strona będzie mogła:", "If you allow it, the site may:"},
	"origin.may.1":     {"sprawdzać, czy CertSign działa i co potrafi,", "see whether CertSign is running and what it can do,"},
	"origin.may.2":     {"prosić o podpisanie dokumentów – CertSign za każdym razem zapyta o zgodę,", "ask for documents to be signed – CertSign asks for your consent each time,"},
	"origin.may.3":     {"poznać certyfikat, którym podpiszesz.", "see the certificate that you sign with."},
	"origin.maynot":    {"Strona nigdy nie pozna klucza prywatnego, kodu PIN ani hasła.", "The site never gets to know your private key, PIN or password."},
	"origin.question":  {"Zezwolić tej stronie na korzystanie z CertSign?", "Allow this site to use CertSign?"},
	"origin.uncertain": {"W razie wątpliwości odmów.", "If in doubt, refuse."},
}
