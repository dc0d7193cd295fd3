# `otlp-messages`: what protobuf-c makes of proxy/telemetry/proto/*.proto, as "telemetry/proto/NAME.pb-c.h". What is sent often is written without it (proxy/telemetry/span.h).
find_program(PROTOC_C protoc-c REQUIRED)
file(GLOB protos CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/proxy/telemetry/proto/*.proto)
set(generated ${CMAKE_BINARY_DIR}/generated)
file(MAKE_DIRECTORY ${generated})
set(sources)
foreach(proto ${protos})
    get_filename_component(name ${proto} NAME_WE)
    set(base ${generated}/telemetry/proto/${name}.pb-c)
    # It knows no files by which another one would have to be made anew: all of them count.
    add_custom_command(OUTPUT ${base}.c ${base}.h
        COMMAND ${PROTOC_C} --proto_path=${CMAKE_SOURCE_DIR}/proxy --c_out=${generated} telemetry/proto/${name}.proto
        DEPENDS ${protos} VERBATIM)
    list(APPEND sources ${base}.c)
endforeach()
add_library(otlp-messages STATIC ${sources})
target_include_directories(otlp-messages SYSTEM PUBLIC ${generated})
target_link_libraries(otlp-messages PUBLIC PkgConfig::protobuf_c)
target_compile_options(otlp-messages PRIVATE ${OUTRIGGER_INSTRUMENT})
