# The workflow that was installed with lpclip, as a module. Rules of your own go below.
from lpclip import snakefile


configfile: "config.yaml"


module lpclip:
    snakefile:
        snakefile()
    config:
        config


use rule * from lpclip


onstart:
    lpclip.start_run()


onsuccess:
    lpclip.print_summary()


onerror:
    lpclip.print_failures()
