import { describe, test } from 'node:test'
import { many } from '../many.js'

describe('many', { concurrency: 8 }, () => many((name, check) => test(name, check)))
