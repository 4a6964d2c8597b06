// What keyboards and screen readers need, and the theme leaves out.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("p.caption[role=heading]").forEach((caption) => caption.setAttribute("aria-level", "2"));
  document.querySelectorAll("details.hide > summary").forEach((summary) => summary.removeAttribute("aria-label"));
  if (typeof Search !== "undefined" && Search.htmlToText) { // formulas and drawings are no text to quote
    const whole = Search.htmlToText;
    Search.htmlToText = (html, anchor) => {
      const page = new DOMParser().parseFromString(html, "text/html");
      page.querySelectorAll("math, svg, .formula, pre").forEach((part) => part.remove());
      return whole(page.documentElement.outerHTML, anchor);
    };
  }
  const reach = () => document.querySelectorAll("pre, .formula, .table-wrapper").forEach((box) => {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  });
  reach();
  window.addEventListener("resize", reach);
});
