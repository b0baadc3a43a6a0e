/** Two shops and what they sell: the same at every start, in the shapes of KiotViet's Retail API. */

export interface Shop {
  /** As in the header `Retailer`. */
  retailer: string
  retailerId: number
  clientId: string
  clientSecret: string
}

export const SHOPS: readonly Shop[] = [
  {
    retailer: 'phohanoi',
    retailerId: 500_101,
    clientId: '5f0c1b7e-pho',
    clientSecret: 'SIM0PHO9B1A2D3C4E5F60718293A4B5C6D7E8F90',
  },
  {
    retailer: 'trasaigon',
    retailerId: 500_202,
    clientId: '8a2d4e6c-tra',
    clientSecret: 'SIM0TRA7F6E5D4C3B2A190817263544536271809',
  },
]

export type Kind = 'products' | 'invoices' | 'customers'
export type Item = { id: number; [field: string]: unknown }

export const KINDS: Record<Kind, { name: string; count: number; make(id: number, shop: Shop): Item }> = {
  products: { name: 'product', count: 60, make: product },
  invoices: { name: 'invoice', count: 120, make: invoice },
  customers: { name: 'customer', count: 45, make: customer },
}
export const kinds = Object.keys(KINDS) as Kind[]

export function shopItems(shop: Shop): Record<Kind, Map<number, Item>> {
  const all = (kind: Kind) => {
    const { count, make } = KINDS[kind]
    return new Map(Array.from({ length: count }, (_, i) => [i + 1, make(i + 1, shop)]))
  }
  return { products: all('products'), invoices: all('invoices'), customers: all('customers') }
}

const DISHES = [
  'Phở bò',
  'Phở gà',
  'Bún chả',
  'Bánh mì',
  'Cơm tấm',
  'Trà đá',
  'Trà sữa',
  'Cà phê sữa',
  'Nem rán',
  'Chè',
]
const SIZES = ['nhỏ', 'vừa', 'lớn', 'đặc biệt', 'mang về', 'gia đình']
const FAMILIES = ['Nguyễn', 'Trần', 'Lê', 'Phạm', 'Hoàng', 'Phan', 'Vũ', 'Đặng', 'Bùi']
const GIVEN = ['An', 'Bình', 'Chi', 'Dũng', 'Hà', 'Lan', 'Minh', 'Ngọc', 'Quân', 'Thảo']
const START = Date.UTC(2026, 0, 1)
const DAY_MS = 86_400_000

const pick = <T>(list: readonly T[], n: number): T => list[n % list.length]!
const code = (letters: string, id: number) => `${letters}${String(id).padStart(6, '0')}`
const dateOf = (id: number) => new Date(START + id * DAY_MS).toISOString()
const price = (id: number) => 15_000 + (id % 12) * 5_000

function product(id: number, { retailerId }: Shop): Item {
  const name = pick(DISHES, id - 1)
  const size = pick(SIZES, Math.floor((id - 1) / DISHES.length))
  return {
    id,
    retailerId,
    code: code('SP', id),
    name: `${name} ${size}`,
    fullName: `${name} ${size} (phần)`,
    categoryId: 10 + (id % 4),
    categoryName: pick(['Món nước', 'Món khô', 'Đồ uống', 'Tráng miệng'], id % 4),
    allowsSale: true,
    hasVariants: false,
    basePrice: price(id),
    unit: 'phần',
    conversionValue: 1,
    masterProductId: null,
    inventories: [
      {
        productId: id,
        productCode: code('SP', id),
        branchId: 1,
        branchName: 'Chi nhánh trung tâm',
        onHand: (id * 7) % 40,
        cost: price(id) * 0.6,
        reserved: 0,
      },
    ],
    images: [],
    createdDate: dateOf(0),
    modifiedDate: dateOf(id),
  }
}

function customer(id: number, { retailerId }: Shop): Item {
  return {
    id,
    code: code('KH', id),
    name: `${pick(FAMILIES, id)} ${pick(GIVEN, id * 3)}`,
    gender: id % 2 === 0,
    birthDate: new Date(Date.UTC(1970 + (id % 35), id % 12, 1 + (id % 27))).toISOString(),
    contactNumber: `09${String(10_000_000 + ((id * 7_654_321) % 90_000_000))}`,
    address: `${id} Hàng Bông, Hà Nội`,
    email: `khach${id}@thu.example`,
    debt: 0,
    totalInvoiced: price(id) * 10,
    totalPoint: id * 3,
    retailerId,
    modifiedDate: dateOf(id),
  }
}

function invoice(id: number, shop: Shop): Item {
  const sold = product(1 + (id % 60), shop)
  const bought = customer(1 + (id % 45), shop)
  const quantity = 1 + (id % 3)
  const total = Number(sold.basePrice) * quantity
  return {
    id,
    retailerId: shop.retailerId,
    code: code('HD', id),
    purchaseDate: dateOf(id),
    branchId: 1,
    branchName: 'Chi nhánh trung tâm',
    customerId: bought.id,
    customerCode: bought.code,
    customerName: bought.name,
    total,
    totalPayment: total,
    discount: 0,
    status: 1,
    statusValue: 'Hoàn thành',
    usingCod: false,
    invoiceDetails: [
      {
        productId: sold.id,
        productCode: sold.code,
        productName: sold.name,
        quantity,
        price: sold.basePrice,
        discount: 0,
      },
    ],
    payments: [
      {
        id,
        code: code('TT', id),
        amount: total,
        method: 'Cash',
        status: 0,
        statusValue: 'Đã thanh toán',
        transDate: dateOf(id),
      },
    ],
    createdDate: dateOf(id),
    modifiedDate: dateOf(id),
  }
}
