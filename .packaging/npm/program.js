'use strict'

// The program that the package for this platform has brought.
exports.program = () => {
  const platform = `${process.platform}-${process.arch}`
  const name = process.platform === 'win32' ? 'telecmi-cdr.exe' : 'telecmi-cdr'
  try {
    return require.resolve(`@telecmi-cdr/${platform}/bin/${name}`)
  } catch {
    throw new Error(`@telecmi-cdr/${platform} is not installed: there is none for this platform, or optional dependencies were left out`)
  }
}
