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
