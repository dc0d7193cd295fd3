// The only list of the kinds that documents can be of. A new kind is one table and one line here.
#include "config/resources.h"

const struct kind config_kinds[] = {{"Proxy", &proxy_table, proxy_check},
                                    {"ServiceEntry", &service_entry_table, service_entry_check},
                                    {"TrafficPolicy", &traffic_policy_table, traffic_policy_check},
                                    {0}};
