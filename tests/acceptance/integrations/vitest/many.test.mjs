import { test } from 'vitest'
import { many } from '../many.js'

many(test.concurrent)
