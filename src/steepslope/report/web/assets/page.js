startTables();
startGallery();
startCharts(startData);
startPoint();
dispatchEvent(new Event("resize"));
document.documentElement.dataset.ready = "true";
