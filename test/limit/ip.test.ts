import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { InvalidKey, InvalidOption } from '../../src/base/errors.ts'
import { ipKey } from '../../src/limit/ip.ts'
import { clientAddress } from '../../src/limit/proxy.ts'

describe('keys of addresses', () => {
  it('see through mapped and NAT64 addresses by their bits, however they are spelt [L12, S4-3]', () => {
    for (const same of [
      '1.2.3.4',
      '::ffff:1.2.3.4',
      '::ffff:102:304',
      '0:0:0:0:0:FFFF:0102:0304',
      '64:ff9b::1.2.3.4',
      '64:ff9b::102:304',
    ]) {
      expect(ipKey(same)).toBe('1.2.3.4')
    }
    expect(ipKey('64:ff9b::1.2.3.5')).toBe('1.2.3.5')
    expect(ipKey('2001:db8:1:2::1.2.3.4')).toBe('2001:db8:1:2::/64')
    expect(ipKey('::1.2.3.4')).toBe('0:0:0:0::/64')
    expect(ipKey('64:ff9b:1::1.2.3.4')).toBe('64:ff9b:1:0::/64')
  })

  it('take a /64 as one client, or another prefix on demand; the zone does not matter [L12, S4-3]', () => {
    expect(ipKey('2001:db8:1:2::1')).toBe(ipKey('2001:db8:1:2:ffff:ffff:ffff:ffff%eth0'))
    expect(ipKey('2001:db8:1:2::1')).not.toBe(ipKey('2001:db8:1:3::1'))
    expect(ipKey('2001:db8:1:2ff::1', { v6Prefix: 56 })).toBe('2001:db8:1:200::/56')
    expect(ipKey('2001:db8::1', { v6Prefix: 128 })).toBe('2001:db8:0:0:0:0:0:1')
    for (const v6Prefix of [0, 31, 129, 64.5, Number.NaN])
      expect(() => ipKey('::1', { v6Prefix })).toThrow(InvalidOption)
  })

  it.each([
    '',
    '1.2.3',
    '1.2.3.4:80',
    '[::1]:80',
    '[::1]',
    '1.2.3.256',
    '01.2.3.4',
    '::1::',
    'localhost',
    '1.2.3.4, 5.6.7.8',
    ':::',
    'fe80::1%',
    '::ffff:1.2.3',
  ])('refuse %s', (text) => {
    expect(() => ipKey(text)).toThrow(InvalidKey)
  })

  it('give every spelling of an IPv6 address one key', () => {
    fc.assert(
      fc.property(fc.ipV6(), (address) => {
        const url = new URL(`http://[${address}]/`).hostname.slice(1, -1)
        expect(ipKey(url, { v6Prefix: 128 })).toBe(ipKey(address, { v6Prefix: 128 }))
      }),
    )
  })
})

describe('trust in proxies', () => {
  it('reads nothing that an untrusted peer claims [S4-3]', () => {
    expect(clientAddress(false)('203.0.113.9', '1.1.1.1')).toBe('203.0.113.9')
    expect(clientAddress(['loopback'])('203.0.113.9', '1.1.1.1, 127.0.0.1')).toBe('203.0.113.9')
    expect(clientAddress(0)('203.0.113.9', '1.1.1.1')).toBe('203.0.113.9')
  })

  it('walks back through trusted networks only, and through so many hops [S4-3]', () => {
    const behind = clientAddress(['loopback', '10.0.0.0/8', '2001:db8:ffff::/48'])
    expect(behind('::ffff:127.0.0.1', '6.6.6.6, 198.51.100.7, 10.1.2.3')).toBe('198.51.100.7')
    expect(behind('2001:db8:ffff:1::1', '198.51.100.7')).toBe('198.51.100.7')
    expect(behind('10.0.0.1', ['6.6.6.6', '198.51.100.7:4711'])).toBe('198.51.100.7')
    expect(behind('10.0.0.1', '"[2001:db8::7]:4711"')).toBe('2001:db8::7')
    expect(behind('10.0.0.1', '6.6.6.6, unknown')).toBe('10.0.0.1')
    expect(behind('10.0.0.1')).toBe('10.0.0.1')
    expect(behind('10.0.0.1', ' , ,')).toBe('10.0.0.1')
    expect(clientAddress(1)('10.0.0.1', '6.6.6.6, 198.51.100.7')).toBe('198.51.100.7')
    expect(clientAddress(2)('10.0.0.1', '6.6.6.6, 198.51.100.7')).toBe('6.6.6.6')
    expect(clientAddress(['private'])('192.168.1.1', '8.8.8.8, 172.31.0.1')).toBe('8.8.8.8')
    expect(clientAddress(['private'])('192.168.1.1', '8.8.8.8, 172.32.0.1')).toBe('172.32.0.1')
  })

  it.each([true, 'loopback', ['10.0.0.0/33'], ['::/129'], ['all'], ['10.0.0.0/x'], -1, 1.5])(
    'refuses to trust %o',
    (trust) => {
      expect(() => clientAddress(trust as never)).toThrow(InvalidOption)
    },
  )
})
