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

# tdl_tool(NAME DEPS ...) makes the program NAME from the .c files of tools/NAME, if there are any.
function(tdl_tool name)
  cmake_parse_arguments(arg "" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.c)
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
