package wording

var notices = map[string]entry{
	"notice.enrolled.title":  {"Certyfikat został zapisany", "The certificate has been stored"},
	"notice.enrolled":        {"Certyfikat celny został wydany i zapisany przy swoim kluczu. Sprawdź dane.", "Your customs certificate has been issued and stored beside its key. Check the data."},
	"notice.enrolled.wrong":  {"Jeśli dane są błędne, unieważnij certyfikat w portalu, popraw dane i wygeneruj nowy.", "If the data are wrong, revoke the certificate in the portal, correct your data and generate a new one."},
	"notice.enrolled.backup": {"Zrób kopię zapasową klucza i trzymaj ją w bezpiecznym miejscu: certsign backup %s -o PLIK. Gdy plik klucza zginie, nikt go nie odtworzy.", "Make a backup copy of the key and keep it in a safe place: certsign backup %s -o FILE. If the key file is lost, nobody can restore it."},
	"notice.copy":            {"Zrób kopię zapasową klucza i przenieś ją w bezpieczne miejsce, na przykład na pendrive. Kopia jest zaszyfrowana tym samym hasłem. Gdy plik klucza zginie, nikt go nie odtworzy.", "Make a backup copy of the key and move it to a safe place, for example a USB stick. The copy is encrypted with the same password. If the key file is lost, nobody can restore it."},
	"notice.copy.save":       {"Zapisz kopię w folderze pobranych", "Save a copy among the downloads"},
	"notice.signed.title":    {"Podpis został złożony", "The signature has been made"},
	"notice.signed":          {"Podpisano i przekazano stronie: %s.", "Signed and handed over to the site: %s."},
	"notice.failed.title":    {"Nie udało się", "It did not work"},
	"notice.self":            {"To okno zaraz zamknie się samo.", "This window will close by itself in a moment."},
	"notice.failed.code":     {"Kod", "Code"},
}
