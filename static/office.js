// What the live funnel needs beyond htmx. Without this file, or without JavaScript, the page still reads well after a reload.
"use strict";

// A refresh must not take away the numbers that somebody is selecting to copy.
document.addEventListener("htmx:beforeSwap", (event) => {
  const selection = document.getSelection();
  if (!selection.isCollapsed && event.detail.target.contains(selection.anchorNode)) event.detail.shouldSwap = false;
});

// A refresh that was answered by another page (the session ended) belongs in the whole window.
document.addEventListener("htmx:beforeSwap", (event) => {
  const asked = new URL(event.detail.pathInfo.requestPath, location.href);
  const answeredBy = new URL(event.detail.xhr.responseURL || asked);
  if (answeredBy.pathname === asked.pathname) return;
  event.detail.shouldSwap = false;
  location.reload();
});

// Old numbers must not look live. The next refresh that arrives replaces the mark.
for (const trouble of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
  document.addEventListener(trouble, (event) => event.detail.target.classList.add("stale"));
}
