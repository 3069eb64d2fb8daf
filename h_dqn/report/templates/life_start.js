// All parts of the page, once.

startMatrix();
drawSummary();
drawMatrix();
drawMetrics();
drawLedger();
drawPhases();
drawFilms();
drawTasks();
drawChanges();
drawPlasticity();
drawPaths();
