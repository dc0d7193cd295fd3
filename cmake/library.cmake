# outrigger_library(NAME LINKS target...): the static library `outrigger-NAME` of the current folder: all its .c files but main.c.
# LINKS are lower layers (outrigger-FOLDER) or imported targets; tests/style_test.py checks the order of the layers.
function(outrigger_library name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LINKS")
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
    list(FILTER sources EXCLUDE REGEX "/main\\.c$")
    if(sources)
        add_library(outrigger-${name} STATIC ${sources})
        set(scope PUBLIC)
    else()
        add_library(outrigger-${name} INTERFACE)
        set(scope INTERFACE)
    endif()
    target_link_libraries(outrigger-${name} ${scope} outrigger-options ${arg_LINKS})
endfunction()

# outrigger_program(NAME LIBRARY): the program bin/NAME of the current folder's main.c, on `outrigger-LIBRARY`. A folder that has no main.c yet has no program.
function(outrigger_program name library)
    if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/main.c)
        add_executable(${name} main.c)
        target_link_libraries(${name} PRIVATE outrigger-${library})
    endif()
endfunction()
