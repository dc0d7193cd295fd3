// outrigger-proxy: the data plane.
#include "app/options.h"
#include "app/proxy.h"

int main(int argc, char **argv) {
    struct options options;
    int exit_code;
    if (!options_parse(argc, argv, &options, &exit_code))
        return exit_code;
    return proxy_run(&options);
}
