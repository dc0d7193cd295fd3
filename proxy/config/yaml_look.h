// What a scalar without quotes looks like to readers that go by YAML 1.1 (and so to many tools around Kubernetes). Our own tables decide types;
// this is for warnings alone.
#ifndef CONFIG_YAML_LOOK_H
#define CONFIG_YAML_LOOK_H

#include "base/bytes.h"

// "a boolean", "a number", "a date"; NULL: a text.
const char *yaml_look(struct bytes plain);

#endif
