// data-copy="text" copies that text; data-copy-from="id" copies the value or text of an element.
document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy], [data-copy-from]");
  if (!button) return;
  event.preventDefault();
  const source = button.dataset.copyFrom && document.getElementById(button.dataset.copyFrom);
  const text = source ? (source.value ?? source.textContent) : (button.dataset.copy ?? "");
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // No clipboard permission, or not a secure origin: leave the text selected for the person to copy.
    if (source?.select) source.select();
    else if (source) getSelection().selectAllChildren(source);
    return;
  }
  button.dataset.copied = "";
  const live = document.getElementById("announcer");
  if (live) live.textContent = live.dataset.copied;
  setTimeout(() => {
    delete button.dataset.copied;
    if (live) live.textContent = "";
  }, 1500);
});
