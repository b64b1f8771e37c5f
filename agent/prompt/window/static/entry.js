// The way in: hands the capability from the fragment over and takes the cookie for it.
"use strict";
(async () => {
  const capability = location.hash.slice(1);
  history.replaceState(null, "", "/");
  try {
    const answer = await fetch("/open", { method: "POST", body: capability });
    if (!answer.ok) throw new Error("refused");
    location.replace("/question");
  } catch {
    document.getElementById("opening").hidden = true;
    document.getElementById("failed").hidden = false;
  }
})();
