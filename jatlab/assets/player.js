// Keys, and a word while the kernel is busy. It runs once, when its picture of one pixel loads.
const root = this.closest(".jl-player");
if (root && !root.dataset.ready) {
  root.dataset.ready = "yes";
  root.dataset.lmSuppressShortcuts = "true";  // JupyterLab's own keys rest here
  root.tabIndex = 0;
  const KEYS = { " ": "toggle", ArrowRight: "step", ArrowLeft: "back", "[": "slower", "]": "faster" };
  const press = name => {
    const both = [".jl-do-play", ".jl-do-pause"].map(one => root.querySelector(one));
    const button = name === "toggle" ? both.find(one => one && !one.disabled) :
      root.querySelector(".jl-do-" + name);
    if (button && !button.disabled) button.click();
    return Boolean(button);
  };
  root.addEventListener("keydown", event => {
    const typing = event.target.matches("input, select, textarea, [role=slider]");
    if (typing || event.ctrlKey || event.altKey || event.metaKey) return;
    const own = root.querySelector("[data-keys]");
    const name = (own ? JSON.parse(own.dataset.keys) : {})[event.key] || KEYS[event.key];
    if (!name || !press(name)) return;
    event.preventDefault();
    event.stopPropagation();
  });
  // a click that nothing answers for half a second waits behind a cell that runs
  let timer = null;
  const answered = () => { clearTimeout(timer); delete root.dataset.waits; };
  root.addEventListener("click", event => {
    if (!event.target.closest("button")) return;
    if (event.detail) root.focus({ preventScroll: true });  // a button that is disabled loses keys
    clearTimeout(timer);
    timer = setTimeout(() => { root.dataset.waits = "yes"; }, 600);
  }, true);
  const watched = { subtree: true, childList: true, characterData: true, attributes: true,
                    attributeFilter: ["src", "disabled"] };
  new MutationObserver(answered).observe(root, watched);
}
