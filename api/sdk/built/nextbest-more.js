(()=>{window.nextbest.use(e=>{e.config.switches});})();
