// Code generated from internal/problem by `go generate ./internal/problem`; DO NOT EDIT.

import type { Code, Text } from './errors.generated.js';

export const texts: Record<Code, { en: Text; pl: Text }> = {
  insecure_context: {
    en: {
      message: 'This page was not opened over a secure connection, so the browser does not let it reach CertSign.',
      reason: 'The address begins with http:// instead of https://.',
      remedy: 'Open the portal by its https:// address and try again.',
    },
    pl: {
      message: 'Ta strona nie została otwarta przez bezpieczne połączenie, dlatego przeglądarka nie pozwala jej połączyć się z programem CertSign.',
      reason: 'Adres strony zaczyna się od http:// zamiast https://.',
      remedy: 'Otwórz portal, używając adresu https://, i spróbuj ponownie.',
    },
  },
  mixed_content_blocked: {
    en: {
      message: 'The browser blocked the connection to CertSign because it is not encrypted.',
      reason: 'This browser treats a connection inside your own computer as unsafe content of the page.',
      remedy: 'Use a current version of Chrome, Edge or Firefox.',
    },
    pl: {
      message: 'Przeglądarka zablokowała połączenie z programem CertSign, ponieważ nie jest ono szyfrowane.',
      reason: 'Ta przeglądarka uznaje połączenie wewnątrz Twojego komputera za niebezpieczną treść strony.',
      remedy: 'Użyj aktualnej wersji przeglądarki Chrome, Edge lub Firefox.',
    },
  },
  csp_blocked: {
    en: {
      message: 'The portal\'s own security rules do not allow this page to reach CertSign.',
      reason: 'The page was published without permission to connect to 127.0.0.1 in its content security policy.',
      remedy: 'Tell the Help Desk: the portal\'s administrator has to add CertSign\'s address to connect-src.',
    },
    pl: {
      message: 'Zasady bezpieczeństwa portalu nie pozwalają tej stronie połączyć się z programem CertSign.',
      reason: 'Strona została opublikowana bez zezwolenia na połączenie z adresem 127.0.0.1 w polityce bezpieczeństwa treści (CSP).',
      remedy: 'Powiadom Help Desk: administrator portalu musi dodać adres programu CertSign do dyrektywy connect-src.',
    },
  },
  frame_not_delegated: {
    en: {
      message: 'The page is shown inside another page, and that one does not let it reach CertSign.',
      reason: 'The frame that holds the page was made without the permission loopback-network.',
      remedy: 'Open the portal in a tab of its own.',
    },
    pl: {
      message: 'Strona jest wyświetlana wewnątrz innej strony, która nie pozwala jej połączyć się z programem CertSign.',
      reason: 'Ramka, w której znajduje się strona, nie ma uprawnienia loopback-network.',
      remedy: 'Otwórz portal w osobnej karcie przeglądarki.',
    },
  },
  permission_denied: {
    en: {
      message: 'The browser does not let this page reach programs on your computer.',
      reason: '“Block” was chosen when the browser asked, or your organisation\'s settings forbid it.',
      remedy: 'Open the site\'s settings (the icon to the left of the address), allow access to other apps on this device, and reload the page. If it cannot be changed, ask your administrator.',
    },
    pl: {
      message: 'Przeglądarka nie pozwala tej stronie łączyć się z programami na Twoim komputerze.',
      reason: 'Na pytanie przeglądarki wybrano „Blokuj” albo zabraniają tego ustawienia Twojej organizacji.',
      remedy: 'Otwórz ustawienia witryny (ikona po lewej stronie adresu), zezwól na dostęp do innych aplikacji na tym urządzeniu i odśwież stronę. Jeśli nie można tego zmienić, zwróć się do administratora.',
    },
  },
  permission_dismissed: {
    en: {
      message: 'The browser\'s question about access to CertSign was closed without an answer.',
      reason: 'The question was closed, or it stayed hidden under another window.',
      remedy: 'Try again and choose “Allow” when the browser asks.',
    },
    pl: {
      message: 'Pytanie przeglądarki o dostęp do programu CertSign zamknięto bez odpowiedzi.',
      reason: 'Okno z pytaniem zostało zamknięte albo było zasłonięte przez inne okno.',
      remedy: 'Spróbuj ponownie i wybierz „Zezwól”, gdy przeglądarka zapyta.',
    },
  },
  agent_not_running: {
    en: {
      message: 'CertSign is not running on this computer.',
      reason: 'The program was not started yet, was closed, or is not installed.',
      remedy: 'Start CertSign and try again. If it is not installed, ask your administrator or the Help Desk how to get it.',
    },
    pl: {
      message: 'Program CertSign nie jest uruchomiony na tym komputerze.',
      reason: 'Program nie został jeszcze uruchomiony, został zamknięty albo nie jest zainstalowany.',
      remedy: 'Uruchom program CertSign i spróbuj ponownie. Jeśli nie jest zainstalowany, zapytaj administratora lub Help Desk, skąd go wziąć.',
    },
  },
  launch_unconfirmed: {
    en: {
      message: 'CertSign did not answer after the browser was asked to start it.',
      reason: 'The browser\'s question whether to open CertSign was not confirmed, or the program is not installed.',
      remedy: 'Try again and confirm that CertSign may be opened. If no question appears, start CertSign from your system\'s menu.',
    },
    pl: {
      message: 'Program CertSign nie odpowiedział po próbie uruchomienia go przez przeglądarkę.',
      reason: 'Nie potwierdzono pytania przeglądarki o otwarcie programu CertSign albo program nie jest zainstalowany.',
      remedy: 'Spróbuj ponownie i potwierdź otwarcie programu CertSign. Jeśli pytanie się nie pojawia, uruchom program CertSign z menu systemu.',
    },
  },
  agent_unreachable: {
    en: {
      message: 'The connection to CertSign failed or was lost.',
      reason: 'CertSign was closed or restarted, or a security program on this computer stops the connection.',
      remedy: 'Check that CertSign is running and try again. If it happens again, ask your administrator.',
    },
    pl: {
      message: 'Nie udało się połączyć z programem CertSign albo połączenie zostało przerwane.',
      reason: 'Program CertSign został zamknięty lub uruchomiony ponownie albo połączenie blokuje program zabezpieczający na tym komputerze.',
      remedy: 'Sprawdź, czy program CertSign działa, i spróbuj ponownie. Jeśli problem się powtarza, zwróć się do administratora.',
    },
  },
  timeout: {
    en: {
      message: 'It took too long and was given up.',
      reason: 'A window that waits for your answer may be hidden under another one, or the computer is very busy.',
      remedy: 'Look for an open window of CertSign, then try again.',
    },
    pl: {
      message: 'Operacja trwała zbyt długo i została przerwana.',
      reason: 'Okno, które czeka na Twoją odpowiedź, może być zasłonięte przez inne okno albo komputer jest bardzo obciążony.',
      remedy: 'Sprawdź, czy nie czeka otwarte okno programu CertSign, i spróbuj ponownie.',
    },
  },
  origin_rejected: {
    en: {
      message: 'CertSign refused this site.',
      reason: 'Access for the site was refused in CertSign\'s window, or the site is not one that may use CertSign.',
      remedy: 'If you trust the site, try again and choose “Allow” in CertSign\'s window, or add it in CertSign\'s list of sites.',
    },
    pl: {
      message: 'Program CertSign odmówił dostępu tej stronie.',
      reason: 'W oknie programu CertSign odmówiono dostępu albo ta strona nie może korzystać z programu CertSign.',
      remedy: 'Jeśli ufasz tej stronie, spróbuj ponownie i wybierz „Zezwól” w oknie programu CertSign albo dodaj ją do listy witryn w programie CertSign.',
    },
  },
  host_rejected: {
    en: {
      message: 'CertSign was called by a name that is not its own and did not answer.',
      reason: 'A page tried to reach CertSign under a foreign host name. That can be an attack.',
      remedy: 'Close the page. If it is a page you need, tell the Help Desk.',
    },
    pl: {
      message: 'Program CertSign został wywołany pod obcą nazwą i nie odpowiedział.',
      reason: 'Strona próbowała połączyć się z programem CertSign pod obcą nazwą hosta. Może to być próba ataku.',
      remedy: 'Zamknij stronę. Jeśli jest Ci potrzebna, powiadom Help Desk.',
    },
  },
  not_yours: {
    en: {
      message: 'The CertSign that answered belongs to another user of this computer.',
      reason: 'Several people are logged in to this computer, and your own CertSign is not running.',
      remedy: 'Start CertSign in your own session and try again.',
    },
    pl: {
      message: 'Program CertSign, który odpowiedział, należy do innego użytkownika tego komputera.',
      reason: 'Na komputerze zalogowanych jest kilka osób, a Twój program CertSign nie jest uruchomiony.',
      remedy: 'Uruchom program CertSign w swojej sesji i spróbuj ponownie.',
    },
  },
  pairing_required: {
    en: {
      message: 'This page and CertSign do not know each other yet.',
      reason: 'The site requires pairing, and it was not done in this browser.',
      remedy: 'Pair the page with CertSign: compare the code on the page with the code in CertSign\'s window and confirm it.',
    },
    pl: {
      message: 'Ta strona i program CertSign jeszcze się nie znają.',
      reason: 'Strona wymaga sparowania, którego nie wykonano w tej przeglądarce.',
      remedy: 'Sparuj stronę z programem CertSign: porównaj kod na stronie z kodem w oknie programu CertSign i potwierdź go.',
    },
  },
  agent_identity_mismatch: {
    en: {
      message: 'The program that answered is not the CertSign this page knows.',
      reason: 'CertSign was installed anew, or another program pretends to be CertSign.',
      remedy: 'If you installed CertSign anew, pair it with the page again. Otherwise do not go on and tell your administrator.',
    },
    pl: {
      message: 'Program, który odpowiedział, nie jest programem CertSign znanym tej stronie.',
      reason: 'Program CertSign został zainstalowany na nowo albo inny program się pod niego podszywa.',
      remedy: 'Jeśli program CertSign został zainstalowany na nowo, sparuj go ze stroną jeszcze raz. W przeciwnym razie przerwij pracę i powiadom administratora.',
    },
  },
  version_unsupported: {
    en: {
      message: 'This page and CertSign speak different versions of their language.',
      reason: 'CertSign on this computer, or the portal, is out of date.',
      remedy: 'Install the current version of CertSign and reload the page.',
    },
    pl: {
      message: 'Ta strona i program CertSign używają różnych wersji protokołu.',
      reason: 'Program CertSign na tym komputerze lub portal jest nieaktualny.',
      remedy: 'Zainstaluj aktualną wersję programu CertSign i odśwież stronę.',
    },
  },
  site_unknown: {
    en: {
      message: 'CertSign does not know this site as one where certificates are issued.',
      reason: 'The site is missing in CertSign\'s list of sites, so CertSign does not know its certification authority.',
      remedy: 'Ask your administrator to add the site, or add it yourself with “certsign sites add” if you trust it.',
    },
    pl: {
      message: 'Program CertSign nie zna tej strony jako miejsca wydawania certyfikatów.',
      reason: 'Strony nie ma na liście witryn programu CertSign, dlatego program nie zna jej urzędu certyfikacji.',
      remedy: 'Poproś administratora o dodanie strony albo, jeśli jej ufasz, dodaj ją poleceniem „certsign sites add”.',
    },
  },
  ticket_invalid: {
    en: {
      message: 'The document\'s ticket is not valid any more.',
      reason: 'The ticket was already used, has expired, or belongs to another connection.',
      remedy: 'Start signing again from the beginning.',
    },
    pl: {
      message: 'Bilet dokumentu jest już nieważny.',
      reason: 'Bilet został już użyty, wygasł albo należy do innego połączenia.',
      remedy: 'Rozpocznij podpisywanie od początku.',
    },
  },
  ca_mismatch: {
    en: {
      message: 'The page named a certification authority that is not the one on CertSign\'s list for this site.',
      reason: 'The page is set up wrongly, or somebody tries to have your key certified elsewhere.',
      remedy: 'Do not go on. Tell the Help Desk.',
    },
    pl: {
      message: 'Strona wskazała inny urząd certyfikacji niż zapisany dla niej w programie CertSign.',
      reason: 'Strona jest błędnie skonfigurowana albo ktoś próbuje uzyskać certyfikat dla Twojego klucza w innym miejscu.',
      remedy: 'Przerwij pracę i powiadom Help Desk.',
    },
  },
  certificate_mismatch: {
    en: {
      message: 'The certificate that came back was not accepted.',
      reason: 'It holds another key than the one made on this computer, or it was not issued by the site\'s certification authority.',
      remedy: 'Nothing was stored. Generate the certificate again; if it happens again, tell the Help Desk.',
    },
    pl: {
      message: 'Otrzymany certyfikat nie został przyjęty.',
      reason: 'Zawiera inny klucz niż wygenerowany na tym komputerze albo nie wydał go urząd certyfikacji tej strony.',
      remedy: 'Niczego nie zapisano. Wygeneruj certyfikat ponownie; jeśli problem się powtórzy, powiadom Help Desk.',
    },
  },
  bad_request: {
    en: {
      message: 'The request cannot be understood.',
      reason: 'Something in it is missing, too long or not of the expected form.',
      remedy: 'Check what was entered. If you entered nothing yourself, tell the Help Desk.',
    },
    pl: {
      message: 'Żądanie jest niezrozumiałe.',
      reason: 'Brakuje w nim danych albo są one zbyt długie lub mają niewłaściwą postać.',
      remedy: 'Sprawdź wprowadzone dane. Jeśli niczego nie wprowadzano, powiadom Help Desk.',
    },
  },
  unknown_method: {
    en: {
      message: 'CertSign does not know this operation.',
      reason: 'The portal is newer than CertSign on this computer.',
      remedy: 'Install the current version of CertSign.',
    },
    pl: {
      message: 'Program CertSign nie zna tej operacji.',
      reason: 'Portal jest nowszy niż program CertSign na tym komputerze.',
      remedy: 'Zainstaluj aktualną wersję programu CertSign.',
    },
  },
  unsupported: {
    en: {
      message: 'This is not supported.',
      reason: 'The format, level or kind of key that was asked for is not one that can be used here.',
      remedy: 'Choose another one, or install the current version of CertSign.',
    },
    pl: {
      message: 'Ta możliwość nie jest obsługiwana.',
      reason: 'Wybranego formatu, poziomu podpisu lub rodzaju klucza nie można tu użyć.',
      remedy: 'Wybierz inny albo zainstaluj aktualną wersję programu CertSign.',
    },
  },
  busy: {
    en: {
      message: 'CertSign is busy with another operation.',
      reason: 'A window of CertSign is still waiting for an answer, perhaps for another page.',
      remedy: 'Finish or cancel what is open in CertSign and try again.',
    },
    pl: {
      message: 'Program CertSign jest zajęty inną operacją.',
      reason: 'Okno programu CertSign nadal czeka na odpowiedź, być może dotyczącą innej strony.',
      remedy: 'Dokończ lub anuluj otwartą operację w programie CertSign i spróbuj ponownie.',
    },
  },
  too_large: {
    en: {
      message: 'The document is too large.',
      reason: 'It, or the number of documents, is over the limit.',
      remedy: 'Choose a smaller document or fewer of them, or ask your administrator to raise the limit.',
    },
    pl: {
      message: 'Dokument jest zbyt duży.',
      reason: 'Rozmiar dokumentu lub liczba dokumentów przekracza limit.',
      remedy: 'Wybierz mniejszy dokument lub mniej dokumentów albo poproś administratora o podniesienie limitu.',
    },
  },
  document_unreadable: {
    en: {
      message: 'The document could not be read.',
      reason: 'The file was moved, changed or deleted after it was chosen, or its disk is not reachable.',
      remedy: 'Choose the document again.',
    },
    pl: {
      message: 'Nie można odczytać dokumentu.',
      reason: 'Plik został przeniesiony, zmieniony lub usunięty po wybraniu albo dysk jest niedostępny.',
      remedy: 'Wybierz dokument ponownie.',
    },
  },
  integrity_failed: {
    en: {
      message: 'The document arrived differently from how it was sent.',
      reason: 'It was changed on its way between the page and CertSign.',
      remedy: 'Nothing was used. Try again; if it happens again, tell the Help Desk.',
    },
    pl: {
      message: 'Dokument dotarł w innej postaci, niż został wysłany.',
      reason: 'Został zmieniony w drodze między stroną a programem CertSign.',
      remedy: 'Dokument nie został użyty. Spróbuj ponownie; jeśli problem się powtórzy, powiadom Help Desk.',
    },
  },
  xml_malformed: {
    en: {
      message: 'The document is not a correct XML document.',
      reason: 'The file is damaged, cut short, or is of another kind.',
      remedy: 'Create or export the document again and choose the new file.',
    },
    pl: {
      message: 'Dokument nie jest poprawnym dokumentem XML.',
      reason: 'Plik jest uszkodzony, niekompletny albo innego rodzaju.',
      remedy: 'Utwórz lub wyeksportuj dokument ponownie i wybierz nowy plik.',
    },
  },
  xml_doctype: {
    en: {
      message: 'The XML document contains a document type declaration (DOCTYPE), which is not accepted.',
      reason: 'Such a declaration can change what the document says after it was signed.',
      remedy: 'Export the document without DOCTYPE and try again.',
    },
    pl: {
      message: 'Dokument XML zawiera deklarację typu dokumentu (DOCTYPE), która nie jest dopuszczalna.',
      reason: 'Taka deklaracja może zmienić treść dokumentu po jego podpisaniu.',
      remedy: 'Wyeksportuj dokument bez deklaracji DOCTYPE i spróbuj ponownie.',
    },
  },
  no_signature: {
    en: {
      message: 'There is no signature in this document.',
      reason: 'The document was not signed, or another file was chosen.',
      remedy: 'Sign the document first, or choose the signed file.',
    },
    pl: {
      message: 'Dokument nie zawiera podpisu.',
      reason: 'Dokument nie został podpisany albo wybrano inny plik.',
      remedy: 'Najpierw podpisz dokument albo wybierz podpisany plik.',
    },
  },
  user_cancelled: {
    en: {
      message: 'The operation was cancelled.',
      reason: '“Refuse” or “Cancel” was chosen, or the window was closed.',
      remedy: 'Start again if you want to go on.',
    },
    pl: {
      message: 'Operacja została anulowana.',
      reason: 'Wybrano „Odmów” lub „Anuluj” albo zamknięto okno.',
      remedy: 'Rozpocznij ponownie, jeśli chcesz kontynuować.',
    },
  },
  prompt_unavailable: {
    en: {
      message: 'CertSign cannot open a window to ask you.',
      reason: 'CertSign runs without a desktop, or no program for its windows or for the PIN was found.',
      remedy: 'Start CertSign in your own desktop session, or set window-command and pinentry-program in its configuration.',
    },
    pl: {
      message: 'Program CertSign nie może otworzyć okna z pytaniem.',
      reason: 'Program CertSign działa bez pulpitu albo nie znaleziono programu do wyświetlania okien lub pytania o PIN.',
      remedy: 'Uruchom program CertSign we własnej sesji pulpitu albo ustaw w jego konfiguracji window-command i pinentry-program.',
    },
  },
  store_unavailable: {
    en: {
      message: 'The place for keys is not available.',
      reason: 'The folder cannot be written, the driver of the card is not installed, or this system has no such store.',
      remedy: 'Check the settings of the store in CertSign, or choose another place for the key.',
    },
    pl: {
      message: 'Magazyn kluczy jest niedostępny.',
      reason: 'Nie można zapisywać w folderze, sterownik karty nie jest zainstalowany albo ten system nie ma takiego magazynu.',
      remedy: 'Sprawdź ustawienia magazynu w programie CertSign albo wybierz inne miejsce na klucz.',
    },
  },
  token_absent: {
    en: {
      message: 'The card or token is not there.',
      reason: 'It was not inserted, was taken out, or the reader is not connected.',
      remedy: 'Insert the card or token and try again.',
    },
    pl: {
      message: 'Nie znaleziono karty lub tokena.',
      reason: 'Karta nie została włożona lub ją wyjęto albo czytnik nie jest podłączony.',
      remedy: 'Włóż kartę lub podłącz token i spróbuj ponownie.',
    },
  },
  token_full: {
    en: {
      message: 'There is no room left on the card or token.',
      reason: 'It holds as many keys and certificates as it can.',
      remedy: 'Delete keys that you no longer need from it, or use another card or token.',
    },
    pl: {
      message: 'Na karcie lub tokenie nie ma już miejsca.',
      reason: 'Zapisano już tyle kluczy i certyfikatów, ile się mieści.',
      remedy: 'Usuń niepotrzebne klucze albo użyj innej karty lub innego tokena.',
    },
  },
  driver_failed: {
    en: {
      message: 'The driver of the card or token failed.',
      reason: 'The driver reported an error or stopped working.',
      remedy: 'Take the card or token out, insert it again and try once more. If it happens again, reinstall its driver.',
    },
    pl: {
      message: 'Sterownik karty lub tokena zawiódł.',
      reason: 'Sterownik zgłosił błąd lub przestał działać.',
      remedy: 'Wyjmij kartę lub token, włóż ponownie i spróbuj jeszcze raz. Jeśli problem się powtarza, zainstaluj sterownik na nowo.',
    },
  },
  pin_incorrect: {
    en: {
      message: 'The PIN or password is wrong.',
      reason: 'It was mistyped, Caps Lock is on, or it belongs to another key.',
      remedy: 'Try again carefully: a card locks its PIN after a few wrong tries.',
    },
    pl: {
      message: 'PIN lub hasło są nieprawidłowe.',
      reason: 'Popełniono błąd przy wpisywaniu, włączony jest Caps Lock albo hasło należy do innego klucza.',
      remedy: 'Spróbuj ponownie, ale ostrożnie: po kilku błędnych próbach karta zablokuje PIN.',
    },
  },
  pin_locked: {
    en: {
      message: 'The PIN of the card or token is locked.',
      reason: 'It was entered wrongly too many times.',
      remedy: 'Unlock it with the PUK, the card administrator\'s PIN: certsign pin unblock, or the program that came with the card.',
    },
    pl: {
      message: 'PIN karty lub tokena jest zablokowany.',
      reason: 'Zbyt wiele razy podano błędny PIN.',
      remedy: 'Odblokuj go kodem PUK (PIN-em administratora karty) poleceniem certsign pin unblock albo w programie dostarczonym z kartą.',
    },
  },
  pin_not_set: {
    en: {
      message: 'The card or token has no PIN of yours yet.',
      reason: 'It is new and has no PIN, or a first PIN that must be changed before use.',
      remedy: 'Set the PIN with certsign pin first, change a first PIN with certsign pin change, or use the program that came with the card.',
    },
    pl: {
      message: 'Karta lub token nie ma jeszcze Twojego kodu PIN.',
      reason: 'Karta lub token są nowe i nie mają kodu PIN albo mają PIN startowy, który trzeba zmienić przed użyciem.',
      remedy: 'Ustaw PIN poleceniem certsign pin first, PIN startowy zmień poleceniem certsign pin change albo użyj programu dostarczonego z kartą.',
    },
  },
  password_weak: {
    en: {
      message: 'The password is too weak.',
      reason: 'It needs at least 12 characters with a lower-case letter, an upper-case letter, a digit and a special character.',
      remedy: 'Choose a password that meets all of these and that you use nowhere else.',
    },
    pl: {
      message: 'Hasło jest zbyt słabe.',
      reason: 'Musi mieć co najmniej 12 znaków, w tym małą literę, wielką literę, cyfrę i znak specjalny.',
      remedy: 'Wybierz hasło, które spełnia wszystkie te warunki i nie jest używane nigdzie indziej.',
    },
  },
  key_absent: {
    en: {
      message: 'The private key was not found.',
      reason: 'The key file was moved or deleted, or the key is on another card, token or computer.',
      remedy: 'Use the computer, card or file where the key was made. A lost key cannot be recovered: generate a new certificate.',
    },
    pl: {
      message: 'Nie znaleziono klucza prywatnego.',
      reason: 'Plik z kluczem został przeniesiony lub usunięty albo klucz znajduje się na innej karcie, tokenie lub komputerze.',
      remedy: 'Użyj komputera, karty lub pliku, w którym utworzono klucz. Utraconego klucza nie można odzyskać: wygeneruj nowy certyfikat.',
    },
  },
  key_weak: {
    en: {
      message: 'The key is too weak.',
      reason: 'It is shorter than allowed, or of a kind that is no longer considered safe.',
      remedy: 'Generate a new key: RSA of at least 2048 bits, or an elliptic curve key P-256 or P-384.',
    },
    pl: {
      message: 'Klucz jest zbyt słaby.',
      reason: 'Jest krótszy, niż to dozwolone, albo takiego rodzaju, którego nie uważa się już za bezpieczny.',
      remedy: 'Wygeneruj nowy klucz: RSA o długości co najmniej 2048 bitów albo klucz krzywej eliptycznej P-256 lub P-384.',
    },
  },
  no_certificate: {
    en: {
      message: 'There is no certificate on this computer that can be used here.',
      reason: 'No customs certificate was generated yet, or its card or key file is not available.',
      remedy: 'Insert your card or token, or generate a customs certificate in the portal.',
    },
    pl: {
      message: 'Na tym komputerze nie ma certyfikatu, którego można tu użyć.',
      reason: 'Nie wygenerowano jeszcze certyfikatu celnego albo karta lub plik z kluczem są niedostępne.',
      remedy: 'Włóż kartę lub podłącz token albo wygeneruj certyfikat celny w portalu.',
    },
  },
  certificate_expired: {
    en: {
      message: 'The certificate is not valid at this time.',
      reason: 'Its validity has ended or has not begun, or the clock of this computer is wrong.',
      remedy: 'Check the computer\'s date and time. If they are right, generate a new certificate.',
    },
    pl: {
      message: 'Certyfikat nie jest teraz ważny.',
      reason: 'Okres ważności minął lub jeszcze się nie zaczął albo zegar komputera jest źle ustawiony.',
      remedy: 'Sprawdź datę i godzinę na komputerze. Jeśli są poprawne, wygeneruj nowy certyfikat.',
    },
  },
  ceremony_unknown: {
    en: {
      message: 'The generation that was to be finished is not known.',
      reason: 'It was already finished or given up, or it was begun on another computer or by another site.',
      remedy: 'Look in the list of certificates. If the certificate is not there, generate it again.',
    },
    pl: {
      message: 'Nie znaleziono generowania certyfikatu, które miało zostać dokończone.',
      reason: 'Zostało już zakończone lub porzucone albo rozpoczęto je na innym komputerze lub na innej stronie.',
      remedy: 'Sprawdź listę certyfikatów. Jeśli nie ma na niej certyfikatu, wygeneruj go ponownie.',
    },
  },
  consent_spent: {
    en: {
      message: 'Your consent does not cover this signature.',
      reason: 'A consent is valid once, for exactly the documents that were shown.',
      remedy: 'Start again and confirm the new question.',
    },
    pl: {
      message: 'Udzielona zgoda nie obejmuje tego podpisu.',
      reason: 'Zgoda jest jednorazowa i dotyczy dokładnie tych dokumentów, które pokazano.',
      remedy: 'Rozpocznij ponownie i potwierdź nowe pytanie.',
    },
  },
  ca_unreachable: {
    en: {
      message: 'The certification authority does not answer.',
      reason: 'There is no network, a proxy stands in the way, or the authority is being maintained.',
      remedy: 'Check the network and try again later. What was begun is kept and will be finished.',
    },
    pl: {
      message: 'Urząd certyfikacji nie odpowiada.',
      reason: 'Brak połączenia z siecią, połączenie blokuje serwer proxy albo w urzędzie trwają prace serwisowe.',
      remedy: 'Sprawdź połączenie z siecią i spróbuj ponownie później. Rozpoczęta operacja została zachowana i zostanie dokończona.',
    },
  },
  internal_error: {
    en: {
      message: 'Something went wrong inside the program.',
      reason: 'This is a fault of the program or of the system, not of what you did.',
      remedy: 'Try again. If it happens again, tell the Help Desk and send the log.',
    },
    pl: {
      message: 'Wystąpił błąd wewnętrzny programu.',
      reason: 'To błąd programu lub systemu, a nie skutek Twojego działania.',
      remedy: 'Spróbuj ponownie. Jeśli problem się powtórzy, powiadom Help Desk i prześlij dziennik.',
    },
  },
  address_refused: {
    en: {
      message: 'The program does not connect to this address.',
      reason: 'The address is not among those that were configured, or it points into a private network.',
      remedy: 'Check the address. If it is right, ask your administrator to allow it.',
    },
    pl: {
      message: 'Program nie łączy się z tym adresem.',
      reason: 'Adresu nie ma wśród skonfigurowanych albo wskazuje on sieć prywatną.',
      remedy: 'Sprawdź adres. Jeśli jest poprawny, poproś administratora o zezwolenie na połączenie.',
    },
  },
  evidence_unreachable: {
    en: {
      message: 'Information about a certificate or signature could not be fetched.',
      reason: 'The server that publishes it, a certificate or its revocation status, does not answer.',
      remedy: 'Check the network and try again later.',
    },
    pl: {
      message: 'Nie udało się pobrać danych dotyczących certyfikatu lub podpisu.',
      reason: 'Serwer, który udostępnia certyfikat lub informacje o jego unieważnieniu, nie odpowiada.',
      remedy: 'Sprawdź połączenie z siecią i spróbuj ponownie później.',
    },
  },
  key_generation_forbidden: {
    en: {
      message: 'New keys cannot be made on this card or token.',
      reason: 'Its issuer allows only the keys that are on it already, as on qualified signature cards, or it is write-protected, or its driver can only use keys.',
      remedy: 'Choose another card or token, or a key file. The certificates that are on the card can still be used for signing.',
    },
    pl: {
      message: 'Na tej karcie lub na tym tokenie nie można tworzyć nowych kluczy.',
      reason: 'Wydawca dopuszcza tylko klucze, które już się tam znajdują (tak jest na kartach do podpisu kwalifikowanego), zapis jest zablokowany albo sterownik pozwala jedynie używać kluczy.',
      remedy: 'Wybierz inną kartę, inny token lub plik z kluczem. Certyfikatów, które są na karcie, nadal można używać do podpisywania.',
    },
  },
  token_unrecognized: {
    en: {
      message: 'The card in the reader was not recognised.',
      reason: 'The installed driver does not know this kind of card, the card is not a signature card, is damaged, or is inserted the wrong way round.',
      remedy: 'Check that the right card is in the right reader and install the driver of the card\'s issuer.',
    },
    pl: {
      message: 'Nie rozpoznano karty w czytniku.',
      reason: 'Zainstalowany sterownik nie zna kart tego rodzaju albo nie jest to karta do podpisu, jest uszkodzona lub włożono ją odwrotnie.',
      remedy: 'Sprawdź, czy właściwa karta jest we właściwym czytniku, i zainstaluj sterownik od wydawcy karty.',
    },
  },
  driver_mismatch: {
    en: {
      message: 'The driver of the card or token is for another kind of program.',
      reason: 'It is a 32-bit driver and CertSign is a 64-bit program, or it was made for another kind of processor.',
      remedy: 'Install the 64-bit version of the driver, or the complete CertSign package, which holds the 32-bit program certsign-pkcs11-32 for such drivers on Windows.',
    },
    pl: {
      message: 'Sterownik karty lub tokena jest przeznaczony dla programów innego rodzaju.',
      reason: 'Sterownik jest 32-bitowy, a CertSign to program 64-bitowy, albo sterownik przygotowano dla procesora innego typu.',
      remedy: 'Zainstaluj 64-bitową wersję sterownika albo pełny pakiet CertSign, który w systemie Windows zawiera 32-bitowy program certsign-pkcs11-32 dla takich sterowników.',
    },
  },
  pin_unsuitable: {
    en: {
      message: 'The card or token does not accept this as a new PIN.',
      reason: 'It is shorter or longer than the card allows, holds characters that it does not know, or is too simple for it.',
      remedy: 'Choose another PIN of the length that is shown, of letters without accents and digits. Many cards accept digits only.',
    },
    pl: {
      message: 'Karta lub token nie przyjmuje takiego nowego kodu PIN.',
      reason: 'PIN jest krótszy lub dłuższy, niż pozwala karta, zawiera znaki, których ona nie obsługuje, albo jest zbyt prosty.',
      remedy: 'Wybierz inny PIN o podanej długości, złożony z cyfr i liter bez polskich znaków. Wiele kart przyjmuje tylko cyfry.',
    },
  },
  puk_locked: {
    en: {
      message: 'The PUK of the card or token is locked.',
      reason: 'It was entered wrongly too many times.',
      remedy: 'CertSign cannot unlock it. Ask the issuer of the card; in most cases the card must be replaced and a new certificate generated.',
    },
    pl: {
      message: 'Kod PUK karty lub tokena jest zablokowany.',
      reason: 'Zbyt wiele razy podano błędny kod PUK.',
      remedy: 'Program CertSign nie może go odblokować. Zwróć się do wydawcy karty; zwykle kartę trzeba wymienić i wygenerować nowy certyfikat.',
    },
  },
  login_failed: {
    en: {
      message: 'The e-mail address or the password is wrong.',
      reason: 'One of them was mistyped, or there is no such account.',
      remedy: 'Check both and try again.',
    },
    pl: {
      message: 'Adres e-mail lub hasło są nieprawidłowe.',
      reason: 'Popełniono błąd przy wpisywaniu albo takie konto nie istnieje.',
      remedy: 'Sprawdź dane i spróbuj ponownie.',
    },
  },
  second_factor_required: {
    en: {
      message: 'A one-time code is needed.',
      reason: 'Generating and resuming a certificate is protected by a code sent to your e-mail address.',
      remedy: 'Take the code from the message and enter it.',
    },
    pl: {
      message: 'Potrzebny jest kod jednorazowy.',
      reason: 'Generowanie i wznawianie certyfikatu jest chronione kodem wysyłanym na Twój adres e-mail.',
      remedy: 'Przepisz kod z wiadomości e-mail.',
    },
  },
  second_factor_failed: {
    en: {
      message: 'The one-time code is wrong or no longer valid.',
      reason: 'It was mistyped, is older than ten minutes, or a newer one was sent.',
      remedy: 'Enter the code from the newest message, or have a new one sent.',
    },
    pl: {
      message: 'Kod jednorazowy jest nieprawidłowy lub stracił ważność.',
      reason: 'Popełniono błąd przy wpisywaniu, kod ma ponad dziesięć minut albo wysłano nowszy.',
      remedy: 'Wpisz kod z najnowszej wiadomości albo poproś o wysłanie nowego.',
    },
  },
  not_eligible: {
    en: {
      message: 'This account cannot have a customs certificate.',
      reason: 'It has no extended scope of rights, or the person has no ID SISC number.',
      remedy: 'Extend the account\'s scope of rights and register the person to obtain an ID SISC number, then come back.',
    },
    pl: {
      message: 'Dla tego konta nie można wydać certyfikatu celnego.',
      reason: 'Konto nie ma rozszerzonego zakresu uprawnień albo osoba nie ma numeru ID SISC.',
      remedy: 'Rozszerz zakres uprawnień konta i zarejestruj osobę, aby uzyskać numer ID SISC, a następnie wróć na tę stronę.',
    },
  },
  terms_not_accepted: {
    en: {
      message: 'The Terms have not been accepted.',
      reason: 'They were not confirmed, or a new version has been published since.',
      remedy: 'Read and confirm the Terms, then continue.',
    },
    pl: {
      message: 'Regulamin nie został zaakceptowany.',
      reason: 'Nie potwierdzono zapoznania się z nim albo opublikowano nową wersję.',
      remedy: 'Przeczytaj i potwierdź regulamin, a następnie kontynuuj.',
    },
  },
  too_many_certificates: {
    en: {
      message: 'You have as many valid customs certificates as one person may have.',
      reason: 'The limit of active certificates is reached.',
      remedy: 'Revoke a certificate that you no longer use, then generate a new one.',
    },
    pl: {
      message: 'Masz już tyle ważnych certyfikatów celnych, ile może mieć jedna osoba.',
      reason: 'Osiągnięto limit aktywnych certyfikatów.',
      remedy: 'Unieważnij certyfikat, którego już nie używasz, a następnie wygeneruj nowy.',
    },
  },
  key_already_certified: {
    en: {
      message: 'A certificate has already been issued for this key.',
      reason: 'Each certificate needs a key of its own.',
      remedy: 'Generate the certificate again: a new key is made then.',
    },
    pl: {
      message: 'Dla tego klucza wydano już certyfikat.',
      reason: 'Każdy certyfikat wymaga własnego klucza.',
      remedy: 'Wygeneruj certyfikat ponownie: powstanie wtedy nowy klucz.',
    },
  },
  csr_invalid: {
    en: {
      message: 'The certificate request was not accepted.',
      reason: 'The request is damaged, or its signature does not fit the key in it.',
      remedy: 'Generate the certificate again. If it happens again, tell the Help Desk.',
    },
    pl: {
      message: 'Wniosek o certyfikat nie został przyjęty.',
      reason: 'Wniosek jest uszkodzony albo jego podpis nie pasuje do zawartego w nim klucza.',
      remedy: 'Wygeneruj certyfikat ponownie. Jeśli problem się powtórzy, powiadom Help Desk.',
    },
  },
  token_invalid: {
    en: {
      message: 'The authorisation to issue the certificate is not valid.',
      reason: 'It is damaged or was not given out by this portal.',
      remedy: 'Generate the certificate again from the portal.',
    },
    pl: {
      message: 'Upoważnienie do wydania certyfikatu jest nieważne.',
      reason: 'Jest uszkodzone albo nie wystawił go ten portal.',
      remedy: 'Wygeneruj certyfikat ponownie, zaczynając w portalu.',
    },
  },
  token_expired: {
    en: {
      message: 'The authorisation to issue the certificate has expired.',
      reason: 'Too much time passed between the portal\'s permission and the request.',
      remedy: 'Generate the certificate again from the portal.',
    },
    pl: {
      message: 'Upoważnienie do wydania certyfikatu wygasło.',
      reason: 'Od zgody portalu do złożenia wniosku minęło zbyt wiele czasu.',
      remedy: 'Wygeneruj certyfikat ponownie, zaczynając w portalu.',
    },
  },
  token_spent: {
    en: {
      message: 'The authorisation to issue the certificate was already used.',
      reason: 'It is valid once, and a certificate was issued with it.',
      remedy: 'Look in the list of certificates. If you need another one, generate it from the portal.',
    },
    pl: {
      message: 'Upoważnienie do wydania certyfikatu zostało już wykorzystane.',
      reason: 'Jest jednorazowe i wydano już na jego podstawie certyfikat.',
      remedy: 'Sprawdź listę certyfikatów. Jeśli potrzebujesz kolejnego, wygeneruj go w portalu.',
    },
  },
  token_for_other_csr: {
    en: {
      message: 'The authorisation was given for another certificate request.',
      reason: 'The request was exchanged after the portal permitted it.',
      remedy: 'Generate the certificate again from the portal. If it happens again, tell the Help Desk.',
    },
    pl: {
      message: 'Upoważnienie wystawiono dla innego wniosku o certyfikat.',
      reason: 'Wniosek został podmieniony po uzyskaniu zgody portalu.',
      remedy: 'Wygeneruj certyfikat ponownie, zaczynając w portalu. Jeśli problem się powtórzy, powiadom Help Desk.',
    },
  },
  code_incorrect: {
    en: {
      message: 'The verification code is wrong.',
      reason: 'It was mistyped, or it belongs to another certificate.',
      remedy: 'Take the code from the confirmation of this certificate: click its serial number and “Download confirmation”.',
    },
    pl: {
      message: 'Kod weryfikacyjny jest nieprawidłowy.',
      reason: 'Popełniono błąd przy wpisywaniu albo kod dotyczy innego certyfikatu.',
      remedy: 'Użyj kodu z potwierdzenia wydania tego certyfikatu: kliknij jego numer seryjny i wybierz „Pobierz potwierdzenie”.',
    },
  },
  code_locked: {
    en: {
      message: 'The verification code of this certificate is locked.',
      reason: 'A wrong code was given five times.',
      remedy: 'Contact the Help Desk: it can unlock the code after checking who you are.',
    },
    pl: {
      message: 'Kod weryfikacyjny tego certyfikatu jest zablokowany.',
      reason: 'Pięć razy podano błędny kod.',
      remedy: 'Skontaktuj się z Help Desk, który po sprawdzeniu tożsamości może odblokować kod.',
    },
  },
  state_forbids: {
    en: {
      message: 'This is not possible in the certificate\'s or document\'s present state.',
      reason: 'A revoked or expired certificate cannot be changed, only a suspended one can be resumed, and a sent document cannot be sent again.',
      remedy: 'Reload the page and look at the present state.',
    },
    pl: {
      message: 'Nie jest to możliwe w obecnym stanie certyfikatu lub dokumentu.',
      reason: 'Certyfikatu unieważnionego lub wygasłego nie można zmienić, wznowić można tylko certyfikat zawieszony, a wysłanego dokumentu nie można wysłać ponownie.',
      remedy: 'Odśwież stronę i sprawdź obecny stan.',
    },
  },
  reason_forbidden: {
    en: {
      message: 'This reason cannot be used here.',
      reason: 'Some reasons are meant for a suspension only, or only the certification authority may use them.',
      remedy: 'Choose another reason from the list.',
    },
    pl: {
      message: 'Tej przyczyny nie można tu użyć.',
      reason: 'Niektóre przyczyny dotyczą tylko zawieszenia albo może ich użyć tylko urząd certyfikacji.',
      remedy: 'Wybierz inną przyczynę z listy.',
    },
  },
  not_found: {
    en: {
      message: 'It was not found.',
      reason: 'The address is wrong, it was deleted, or it belongs to somebody else.',
      remedy: 'Go back to the list and choose again.',
    },
    pl: {
      message: 'Nie znaleziono.',
      reason: 'Adres jest błędny, pozycję usunięto albo należy ona do kogoś innego.',
      remedy: 'Wróć do listy i wybierz ponownie.',
    },
  },
  forbidden: {
    en: {
      message: 'This account may not do that.',
      reason: 'The operation needs other rights, or the page was opened in another session.',
      remedy: 'Log in with an account that has the right, or ask the Help Desk.',
    },
    pl: {
      message: 'To konto nie ma uprawnień do tej operacji.',
      reason: 'Operacja wymaga innych uprawnień albo stronę otwarto w innej sesji.',
      remedy: 'Zaloguj się na konto z odpowiednimi uprawnieniami albo zwróć się do Help Desk.',
    },
  },
  rate_limited: {
    en: {
      message: 'There were too many tries.',
      reason: 'The same thing was tried too often in a short time.',
      remedy: 'Wait a few minutes and try again.',
    },
    pl: {
      message: 'Zbyt wiele prób.',
      reason: 'Tę samą operację próbowano wykonać zbyt często w krótkim czasie.',
      remedy: 'Odczekaj kilka minut i spróbuj ponownie.',
    },
  },
};
