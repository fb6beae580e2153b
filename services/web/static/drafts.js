// Drafts outlast their page: in this tab, each for one person and one conversation. The key goes with the text, so that
// a message that has arrived meanwhile is not sent twice. Without a storage nothing is kept.
const nameOf = (form) => `draft ${document.documentElement.dataset.who} ${form.getAttribute("action")}`;

export function keep(form, draft) {
  try {
    if (draft) sessionStorage.setItem(nameOf(form), JSON.stringify(draft));
    else sessionStorage.removeItem(nameOf(form));
  } catch {
    // It is lost.
  }
}

export function take(form) {
  try {
    const draft = JSON.parse(sessionStorage.getItem(nameOf(form)));
    sessionStorage.removeItem(nameOf(form));
    return draft;
  } catch {
    return null;
  }
}
