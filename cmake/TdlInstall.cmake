# `cmake --install`: the programs, the runtime library with its header, the CMake package and tdl.pc.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tdl)
set(package_build ${PROJECT_BINARY_DIR}/cmake)

foreach(tool tdlc tdl-opt)
  if(TARGET ${tool})
    install(TARGETS ${tool} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endforeach()

get_target_property(kind tdl_runtime TYPE)
if(kind STREQUAL "STATIC_LIBRARY")
  install(TARGETS tdl_runtime ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(DIRECTORY runtime/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "tdl*.h")
endif()

configure_package_config_file(cmake/tdlConfig.cmake.in ${package_build}/tdlConfig.cmake
  INSTALL_DESTINATION ${package_dir}
  PATH_VARS CMAKE_INSTALL_BINDIR CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(${package_build}/tdlConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${package_build}/tdlConfig.cmake ${package_build}/tdlConfigVersion.cmake cmake/TdlAddLibrary.cmake
  DESTINATION ${package_dir})

# The prefix in tdl.pc is found from where the file lies, so that an installed tree can be moved.
file(RELATIVE_PATH TDL_PC_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" TDL_PC_TO_PREFIX "${TDL_PC_TO_PREFIX}")
configure_file(cmake/tdl.pc.in ${package_build}/tdl.pc @ONLY)
install(FILES ${package_build}/tdl.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES LICENSE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
