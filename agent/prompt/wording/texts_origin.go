package wording

var origins = map[string]entry{
	"origin.title":     {"Nowa strona chce korzystać z CertSign", "A new site wants to use CertSign"},
	"origin.lead":      {"Z tą stroną CertSign jeszcze się nie łączył. Porównaj adres z adresem w przeglądarce.", "CertSign has not been connected to this site before. Compare the address with the one in your browser."},
	"origin.may":       {"Jeśli zezwolisz, strona będzie mogła:", "If you allow it, the site may:"},
	"origin.may.1":     {"sprawdzać, czy CertSign działa i jakie ma możliwości,", "see whether CertSign is running and what it can do,"},
	"origin.may.2":     {"prosić o utworzenie klucza i zapisanie certyfikatu,", "ask for a key to be made and a certificate to be stored,"},
	"origin.may.3":     {"prosić o podpisanie dokumentów – za każdym razem zapytamy o zgodę.", "ask for documents to be signed – you are asked for consent each time."},
	"origin.maynot":    {"Strona nigdy nie pozna:", "The site never gets to know:"},
	"origin.maynot.1":  {"klucza prywatnego,", "your private key,"},
	"origin.maynot.2":  {"kodu PIN ani hasła.", "your PIN or password."},
	"origin.question":  {"Zezwolić tej stronie na korzystanie z CertSign?", "Allow this site to use CertSign?"},
	"origin.uncertain": {"W razie wątpliwości odmów.", "If in doubt, refuse."},
}
