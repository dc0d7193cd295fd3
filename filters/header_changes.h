// What RequestHeaderModifier and ResponseHeaderModifier do to the fields of a head (Gateway API, HTTPHeaderFilter).
#ifndef FILTERS_HEADER_CHANGES_H
#define FILTERS_HEADER_CHANGES_H

#include "config/route.h"

// Set, then add, then remove: one action per name is what Gateway API allows.
void header_changes_apply(const struct header_changes *changes, struct fields *fields);

#endif
