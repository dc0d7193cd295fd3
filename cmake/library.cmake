# outrigger_library(NAME LINKS lib...): the static library `outrigger-NAME` of the current folder: all its .c files.
# LINKS are lower layers (by folder name) or imported targets; tests/style_test.py checks the order of the layers.
function(outrigger_library name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LINKS")
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
    if(sources)
        add_library(outrigger-${name} STATIC ${sources})
        set(scope PUBLIC)
    else()
        add_library(outrigger-${name} INTERFACE)
        set(scope INTERFACE)
    endif()
    target_link_libraries(outrigger-${name} ${scope} outrigger-options ${arg_LINKS})
endfunction()
