# tdl_library(NAME DEPS ...) makes the static library NAME from every .c file of the current folder: a new file
# is a new pass or module, and there is no list to edit. A folder without .c files gives an INTERFACE library.
# Extra sources (generated ones) follow SOURCES; STRICT adds -Wconversion.
function(tdl_library name)
  cmake_parse_arguments(arg "STRICT" "" "DEPS;SOURCES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  if(NOT sources AND NOT arg_SOURCES)
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE ${arg_DEPS})
    return()
  endif()
  add_library(${name} STATIC ${sources} ${arg_SOURCES})
  target_compile_options(${name} PRIVATE ${TDL_WARNINGS})
  if(arg_STRICT)
    target_compile_options(${name} PRIVATE -Wconversion)
  endif()
  target_link_libraries(${name} PUBLIC ${arg_DEPS} m)
endfunction()

# tdl_tool(NAME DEPS ...) makes the program NAME from tools/NAME.c, tools/NAME_*.c and tools/NAME/*.c, if there are any.
function(tdl_tool name)
  cmake_parse_arguments(arg "" "" "DEPS" ${ARGN})
  set(dir ${CMAKE_CURRENT_SOURCE_DIR})
  file(GLOB sources CONFIGURE_DEPENDS ${dir}/${name}.c ${dir}/${name}_*.c ${dir}/${name}/*.c)
  if(NOT sources)
    return()
  endif()
  add_executable(${name} ${sources})
  target_compile_options(${name} PRIVATE ${TDL_WARNINGS})
  tdl_tool_definitions(${name})
  target_link_libraries(${name} PRIVATE ${arg_DEPS} m)
endfunction()

# TDL_VERSION and TDL_VERIFY_EACH_DEFAULT (0 or 1), for programs.
function(tdl_tool_definitions name)
  target_compile_definitions(${name} PRIVATE TDL_VERSION="${PROJECT_VERSION}"
    TDL_VERIFY_EACH_DEFAULT=$<IF:$<BOOL:${TDL_VERIFY_EACH}>,1,0>)
endfunction()

# tdl_embed(OUT SYMBOL FILES ...) generates the C file OUT with the files' text: `const TdlEmbedded SYMBOL[]`
# (support/embed.h), named by file name, ended by a NULL name.
function(tdl_embed out symbol)
  set(files ${ARGN})
  list(TRANSFORM files PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/ REGEX "^[^/]")
  list(JOIN files "|" joined)
  add_custom_command(OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DSYMBOL=${symbol} "-DFILES=${joined}" -P ${PROJECT_SOURCE_DIR}/cmake/embed.cmake
    DEPENDS ${files} ${PROJECT_SOURCE_DIR}/cmake/embed.cmake VERBATIM)
endfunction()
