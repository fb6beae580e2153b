// Dialogs: opened over the page, closed with Escape or a button, with the focus back where it was.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  const dialog = opener && document.getElementById(opener.dataset.opens);
  if (dialog) {
    event.preventDefault();
    show(dialog);
  }
  const closer = event.target.closest("[data-closes]");
  if (closer?.closest("dialog")) {
    event.preventDefault();
    closer.closest("dialog").close();
  }
});
// The browser knows no place for the focus if the address opened the dialog, or if its opener was replaced meanwhile.
const closed = ({ target }) => {
  if (document.activeElement !== document.body && !target.contains(document.activeElement)) return;
  (document.querySelector(`[data-opens="${target.id}"]`) ?? document.getElementById("content")).focus();
};
document.addEventListener("close", closed, { capture: true }); // it does not bubble
for (const dialog of document.querySelectorAll("dialog[data-open]")) {
  dialog.removeAttribute("open");
  show(dialog);
}

const named = document.getElementById(location.hash.slice(1));
if (named?.matches("dialog")) show(named);

function show(dialog) {
  dialog.showModal();
  dialog.querySelector("h2")?.focus();
}
