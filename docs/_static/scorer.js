// How search results are ordered: the changelog and generated lists come behind the pages that explain.
var Scorer = {
  score: ([page, , , , score]) => (["changes", "reliability", "reference/commands"].includes(page) ? score - 20 : score),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
